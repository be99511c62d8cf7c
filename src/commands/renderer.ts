/** The forms of a report: this record is the list of them, for the options, the help and the golden files alike. */
import type { Report } from '../report/report.ts'

export interface RenderOptions {
  /** in the text only */
  readonly colour: boolean
  /** stands above the text and the Markdown; JSON has no place for it */
  readonly remark?: string | undefined
}

/** Makes the text of a report, with a line end. */
export type Renderer = (report: Report, options: RenderOptions) => string

/** A form that is asked for by an option of its name. */
interface Format {
  /** the option's line in the help */
  readonly does: string
  /** of a file that holds it */
  readonly extension: string
  /** Loads what renders it: a run loads one form, and the help none. */
  load(): Promise<Renderer>
}

export const FORMATS = {
  json: {
    does: 'the report as JSON; text is the default',
    extension: 'json',
    load: async () => (await import('../report/json.ts')).renderJson,
  },
  markdown: {
    does: 'the report as Markdown, for a pull request',
    extension: 'md',
    async load() {
      const { renderMarkdown } = await import('../report/markdown.ts')
      return (report, { remark }) => renderMarkdown(report, { note: remark })
    },
  },
} as const satisfies Readonly<Record<string, Format>>

export type FormatName = keyof typeof FORMATS
export const FORMAT_NAMES = Object.keys(FORMATS) as readonly FormatName[]

/** What is printed where no form is asked for. */
async function loadText(): Promise<Renderer> {
  const { renderText } = await import('../report/text.ts')
  return (report, { colour, remark }) => renderText(report, { colour, note: remark })
}

/** Loads what renders this form. */
export const rendererOf = (format: FormatName | 'text'): Promise<Renderer> =>
  format === 'text' ? loadText() : FORMATS[format].load()
