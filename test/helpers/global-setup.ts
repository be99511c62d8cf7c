/** Once for the whole run: an initialised and bootstrapped PostgreSQL data directory, which every server copies. */
import type { TestProject } from 'vitest/node'
import { createTemplate } from '../../src/throwaway/index.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly template: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const template = await createTemplate()
  project.provide('template', template.directory)
  return () => template.stop()
}
