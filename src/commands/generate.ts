/** `npm run generate`: drizzle-kit generate, and whether it did its work. */
import { fileURLToPath } from 'node:url'
import { defineCommand, EXIT } from './command.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const generate = defineCommand({
  group: 'develop',
  does: 'writes the migration of a change in src/schema.ts (drizzle-kit generate)',
  words: ['WORD…'],
  flags: {},
  development: true,
  async run({ words }, program) {
    const code = await drizzleKit(['generate', ...words])
    if (code !== EXIT.ok) return code
    // Without a terminal, or over a syntax error, drizzle-kit writes nothing and exits 0.
    const { checkSchema } = await import('../development/schema-check/index.ts')
    const undone = (await checkSchema()).problems.filter(problem => problem.startsWith('src/schema.ts '))
    await program.print(undone.map(problem => `${problem}\n`).join(''))
    return undone.length === 0 ? EXIT.ok : EXIT.failed
  },
})

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs drizzle-kit to its end; returns its exit code. */
async function drizzleKit(words: readonly string[]): Promise<number> {
  const { spawn } = await import('node:child_process')
  const child = spawn(`${ROOT}node_modules/.bin/drizzle-kit`, words, { stdio: 'inherit', cwd: ROOT })
  // A terminal sends SIGINT to the tool as well; whatever else ends us must not leave it behind.
  const forward = (signal: NodeJS.Signals) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) => resolve(signal ? EXIT.interrupted : (status ?? EXIT.bug)))
    })
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward)
  }
}
