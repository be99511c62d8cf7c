/** The workflow of .github/workflows as steps of a shell, to be run here: what GitHub would, as far as it is a shell's. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

const FILE = join(import.meta.dirname, '../../.github/workflows/check.yml')

export const WORKFLOW_PATH = '.github/workflows/check.yml'
export const workflowText = (): string => readFileSync(FILE, 'utf8')

type Env = Readonly<Record<string, string>>

export interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly env?: Env
  readonly if?: string
}

interface Job {
  readonly steps: readonly Step[]
  readonly env?: Env
}

interface Workflow {
  readonly jobs: Readonly<Record<string, Job>>
  readonly defaults: { readonly run: { readonly shell: string } }
}

export const workflow = (): Workflow => parse(workflowText())

/** A text with its expressions replaced by what GitHub would put there. Throws for one that is not given. */
export const evaluated = (text: string, values: Env): string =>
  text.replace(/\$\{\{ *([\w.]+) *\}\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no value for ${name}`)
    return value
  })

export interface Ran {
  readonly code: unknown
  readonly output: string
}

/** Runs a step as `shell: bash` of a workflow does. */
export const runStep = (step: Step, cwd: string, env: NodeJS.ProcessEnv, values: Env): Promise<Ran> =>
  new Promise(settle => {
    const own = Object.fromEntries(
      Object.entries(step.env ?? {}).map(([name, text]) => [name, evaluated(text, values)]),
    )
    const words = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', evaluated(step.run ?? '', values)]
    const options = { cwd, env: { ...env, ...own }, maxBuffer: 2 ** 26 }
    execFile('bash', words, options, (error, stdout, stderr) =>
      settle({ code: error ? error.code : 0, output: stdout + stderr }),
    )
  })
