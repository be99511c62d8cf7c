/** Once for each engine's run: for PostgreSQL an initialised data directory, which every server of the run copies. */
import type { TestProject } from 'vitest/node'
import { createTemplate, type Engine } from '../../src/throwaway/index.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** the engine that this run is about (vitest.config.ts) */
    readonly engine: Engine
    /** '' where the engine has no use for one */
    readonly template: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (project.getProvidedContext().engine === 'cockroachdb') {
    project.provide('template', '')
    return async () => undefined
  }
  const template = await createTemplate()
  project.provide('template', template.directory)
  return () => template.stop()
}
