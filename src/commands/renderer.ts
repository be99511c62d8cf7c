/** The form of a report that was asked for. */
import type { Report } from '../report/report.ts'
import type { Format } from './probe-options.ts'

export interface RenderOptions {
  /** in the text only */
  readonly colour: boolean
  /** stands above the text and the Markdown; JSON has no place for it */
  readonly remark?: string | undefined
}

/** Makes the text of a report, with a line end. */
export type Renderer = (report: Report, options: RenderOptions) => string

const LOAD: Readonly<Record<Format, () => Promise<Renderer>>> = {
  text: async () => {
    const { renderText } = await import('../report/text.ts')
    return (report, { colour, remark }) => renderText(report, { colour, note: remark })
  },
  json: async () => (await import('../report/json.ts')).renderJson,
  markdown: async () => {
    const { renderMarkdown } = await import('../report/markdown.ts')
    return (report, { remark }) => renderMarkdown(report, { note: remark })
  },
}

/** Loads what renders this form. */
export const rendererOf = (format: Format): Promise<Renderer> => LOAD[format]()
