/** What is said of settings that are refused. */
import { checksOf } from '../../src/checks/index.ts'
import { failureLine } from '../../src/failure/error.ts'
import { renderHtml } from '../../src/report/html.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderJunit } from '../../src/report/junit.ts'
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
      const texts = [null, 60].flatMap(columns =>
        [false, true].map(verbose => renderText(report, { colour: false, columns, verbose })),
      )
      const forms = [renderJson, renderMarkdown, renderJunit, renderHtml].map(render => render(report))
      return [...texts, ...forms, failureLine(failure)]
    })
    .join('\n')
}
