/**
 * The stack of a bug, in the names and lines of the source. Node maps only modules that were loaded with source maps
 * on, and parses each map as it loads: the single file's, most of a megabyte, is read when there is a bug to print.
 */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

const FRAME = /(file:\/\/[^\s)]+):(\d+):(\d+)/

/** The frames of a stack, a line each; those of a file with an inline source map are looked up in it. */
export function framesOf(stack: string): string {
  const maps = new Map<string, SourceMap | null>()
  const mapOf = (url: string) => {
    const map = maps.has(url) ? maps.get(url) : readMap(url)
    maps.set(url, map ?? null)
    return map
  }
  return stack
    .split('\n')
    .filter(line => /^ {4}at /.test(line))
    .map(line =>
      line.replace(FRAME, (place, url: string, row: string, column: string) => {
        const origin = mapOf(url)?.findOrigin(Number(row), Number(column))
        return origin && 'fileName' in origin ? `${origin.fileName}:${origin.lineNumber}:${origin.columnNumber}` : place
      }),
    )
    .join('\n')
}

function readMap(url: string): SourceMap | null {
  try {
    const source = readFileSync(fileURLToPath(url), 'utf8')
    const [, inline] = /\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/.exec(source) ?? []
    return inline ? new SourceMap(JSON.parse(Buffer.from(inline, 'base64').toString())) : null
  } catch {
    return null
  }
}
