/** Stack traces of the bundle, in the names and lines of the source. Loaded only when there is a bug to print. */
import { readFileSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'

const FRAME = /(file:\/\/[^\s)]+):(\d+):(\d+)/

/** The frames of a stack, a line each; those of a file with an inline source map are looked up in it. */
export function framesOf(stack: string): string {
  const maps = new Map<string, SourceMap | null>()
  const mapOf = (url: string): SourceMap | null => {
    if (!maps.has(url)) maps.set(url, readMap(url))
    return maps.get(url) ?? null
  }
  return stack
    .split('\n')
    .filter(line => /^ {4}at /.test(line))
    .map(line => {
      const [, url = '', row, column] = FRAME.exec(line) ?? []
      const found = url === '' ? null : mapOf(url)?.findEntry(Number(row) - 1, Number(column) - 1)
      const entry = found as
        | { originalSource?: string; originalLine?: number; originalColumn?: number }
        | null
        | undefined
      if (entry?.originalSource === undefined) return line
      const { originalSource, originalLine = 0, originalColumn = 0 } = entry
      return line.replace(FRAME, `${originalSource}:${originalLine + 1}:${originalColumn + 1}`)
    })
    .join('\n')
}

function readMap(url: string): SourceMap | null {
  try {
    const inline = /\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/.exec(
      readFileSync(fileURLToPath(url), 'utf8'),
    )?.[1]
    return inline ? new SourceMap(JSON.parse(Buffer.from(inline, 'base64').toString()) as SourceMapPayload) : null
  } catch {
    return null
  }
}
