/** A page that needs nothing else: no network, no script, and a policy of its own that allows none. */
import { createHash } from 'node:crypto'
import { STYLE } from './html-style.ts'
import { plain } from './plain.ts'

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Foreign text as HTML shows it: one printable line of at most `max` characters, markup escaped. */
export const escapeHtml = (text: string, max?: number): string =>
  plain(text, max).replace(/[&<>"']/g, found => ESCAPES[found] ?? found)

/** The Content-Security-Policy of a page: its own style, and nothing else. */
export function contentPolicy(style = ''): string {
  const hash = createHash('sha256')
    .update(STYLE + style)
    .digest('base64')
  return `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
}

export interface PageOptions {
  /** the page loads itself anew after so many seconds */
  readonly reloadSeconds?: number | undefined
  /** CSS besides the page's own */
  readonly style?: string | undefined
}

/** A page. @param body HTML, its foreign text escaped already */
export const htmlPage = (title: string, body: string, { reloadSeconds, style = '' }: PageOptions = {}): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
${reloadSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${reloadSeconds}">\n`}<title>${escapeHtml(title)}</title>
<style>${STYLE}${style}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`
