/** What is said of settings that are refused. */
import { checksOf } from '../../src/checks/index.ts'
import { failureLine } from '../../src/failure/error.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { configurationReport } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { loadConfig } from '../../src/settings/config.ts'

/** Everything that is printed about settings that are refused, of both roles and in every form. */
export function printedOfRefused(env: NodeJS.ProcessEnv, certsDir: string | null = null): string {
  return (['writer', 'admin'] as const)
    .flatMap(role => {
      const loaded = loadConfig({ role, env, options: { certsDir } })
      if (loaded.ok) throw new Error('these settings were to be refused')
      const run = { command: 'probe' as const, program: '', runId: '', startedAt: '', durationMs: 0, attempts: 0 }
      const failure = loaded.error.toFailure()
      const report = configurationReport({ ...run, ...loaded }, checksOf(false), failure, loaded.error.evidence)
      return [renderText(report, { colour: false }), renderJson(report), renderMarkdown(report), failureLine(failure)]
    })
    .join('\n')
}
