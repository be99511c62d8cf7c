/** The forms of a report: this record is the list of them, for the options, the help and the golden files alike. */
import { extname } from 'node:path'
import type { Report } from '../report/report.ts'

export interface RenderOptions {
  /** in the text only */
  readonly colour: boolean
  /** how wide the terminal is that the text is for; null where it is for a file or a log */
  readonly columns?: number | null
  /** in the text only: every check, and the waterfall */
  readonly verbose?: boolean
  /** a remark about the target; JSON and JUnit have no place for it */
  readonly remark?: string | undefined
}

/** Makes the text of a report, with a line end. */
export type Renderer = (report: Report, options: RenderOptions) => string

interface Format {
  /** of a file that holds it */
  readonly extension: string
  /** Loads what renders it: a run loads one form, and the help none. */
  load(): Promise<Renderer>
}

export const FORMATS = {
  text: {
    extension: 'txt',
    async load() {
      const { renderText } = await import('../report/text.ts')
      return (report, { remark, ...options }) => renderText(report, { ...options, note: remark })
    },
  },
  json: {
    extension: 'json',
    load: async () => (await import('../report/json.ts')).renderJson,
  },
  markdown: {
    extension: 'md',
    async load() {
      const { renderMarkdown } = await import('../report/markdown.ts')
      return (report, { remark }) => renderMarkdown(report, { note: remark })
    },
  },
  junit: {
    extension: 'xml',
    load: async () => (await import('../report/junit.ts')).renderJunit,
  },
  html: {
    extension: 'html',
    async load() {
      const { renderHtml } = await import('../report/html.ts')
      return (report, { remark }) => renderHtml(report, { remark })
    },
  },
} as const satisfies Readonly<Record<string, Format>>

export type FormatName = keyof typeof FORMATS
export const FORMAT_NAMES = Object.keys(FORMATS) as readonly FormatName[]

/** The form that a file's name asks for by its ending; undefined where it asks for none. */
export const formatOf = (path: string): FormatName | undefined =>
  FORMAT_NAMES.find(name => !path.endsWith('/') && extname(path).toLowerCase() === `.${FORMATS[name].extension}`)

/** Loads what renders this form. */
export const rendererOf = (format: FormatName): Promise<Renderer> => FORMATS[format].load()
