/** Programs that npm does not install. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Where a program is; null where it is not there. */
const pathOf = (program: string): Promise<string | null> =>
  promisify(execFile)('sh', ['-c', 'command -v "$0"', program]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  )

/**
 * Where the first of these programs is that is there; null, and a line on stderr, where none is.
 * @param packaged the Debian package that has it
 * @throws in CI, where the absence would pass unnoticed
 */
export async function findProgram(programs: readonly string[], packaged: string): Promise<string | null> {
  for (const program of programs) {
    const path = await pathOf(program)
    if (path !== null) return path
  }
  const line = `${programs[0]} is not tried: it is not installed (Debian's package ${packaged})\n`
  if (process.env.CI === 'true') throw new Error(line)
  process.stderr.write(line)
  return null
}

/** Runs a program on a text. Rejects where it does not exit 0, with what it wrote. */
export const pipe = (program: string, args: readonly string[], input: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile(program, args, (error, stdout, stderr) =>
      error ? reject(new Error(`${error.message}\n${stdout}${stderr}`)) : resolve(stdout),
    )
    child.stdin?.end(input)
  })
