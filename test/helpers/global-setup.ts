/**
 * Once for each engine's run: the program as a single file, which is what the tests of the command line run; for
 * PostgreSQL an initialised data directory, which every server of the run copies.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { build } from '../../src/development/build.ts'
import { createTemplate, type Engine } from '../../src/development/throwaway/index.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** the engine that this run is about (vitest.config.ts) */
    readonly engine: Engine
    /** '' where the engine has no use for one */
    readonly template: string
    /** dist/connection-probe.mjs of this tree */
    readonly bundle: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'connection-probe-tests-'))
  const isPostgres = project.getProvidedContext().engine === 'postgresql'
  const [bundle, template] = await Promise.all([
    build(join(directory, 'connection-probe.mjs')),
    isPostgres ? createTemplate() : null,
  ])
  project.provide('bundle', bundle)
  project.provide('template', template?.directory ?? '')
  return async () => {
    await template?.stop()
    await rm(directory, { recursive: true })
  }
}
