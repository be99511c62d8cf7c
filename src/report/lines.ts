/** Lines of text for a terminal or a log: colours, and the way in which what is too long for a terminal is wrapped. */

type Paint = (text: string) => string
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
export type Palette = Readonly<Record<keyof typeof STYLES, Paint>>

const ESC = String.fromCharCode(0x1b)
const RESET = `${ESC}[0m`

/** The styles, or none of them. */
export function palette(colour: boolean): Palette {
  const style =
    (name: keyof typeof STYLES): Paint =>
    text =>
      colour && text !== '' ? `${ESC}[${STYLES[name]}m${text}${RESET}` : text
  return { bold: style('bold'), dim: style('dim'), red: style('red'), green: style('green'), yellow: style('yellow') }
}

/** A line: what it begins with, and the rest, whose continuations are indented as far. */
export interface Line {
  readonly lead: string
  readonly rest: string
}

/** A line whose continuations are indented below the end of `lead`. */
export const line = (lead: string, rest = ''): Line => ({ lead, rest })

export const EMPTY = line('')

/** Where a line may be broken: at a space, but not between a number and its unit, nor between a mark and its word. */
const BREAKS = new RegExp(`(?<!(?:^|[ ${ESC}m])[√×-](?:${ESC}\\[0m)?) (?!m?s(?!\\w))`)
const STYLE = new RegExp(`${ESC}\\[\\d+m`, 'g')
/** What takes two columns: East Asian wide characters and emoji (UAX 11, UTS 51), as far as they have a property. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\uff01-\uff60]/gu
const NO_WIDTH = /[\p{Mn}\p{Me}]/gu

/** The columns that a text takes on a terminal. */
export function widthOf(text: string): number {
  const shown = text.replace(STYLE, '').replace(NO_WIDTH, '')
  return [...shown].length + (shown.match(WIDE)?.length ?? 0)
}

/** Of a terminal that is narrower nothing can be made. */
const NARROWEST = 20
/** Where the hanging indent would leave less than this, it is a short one. */
const LEAST_ROOM = 24
const SHORT_INDENT = 4

/**
 * The lines as text, with a line end.
 * @param columns of the terminal; null: no line is wrapped
 */
export const layout = (lines: readonly Line[], columns: number | null): string =>
  lines.map(one => `${wrapped(one, columns)}\n`).join('')

function wrapped({ lead, rest }: Line, columns: number | null): string {
  if (columns === null) return `${lead}${rest}`
  const room = Math.max(NARROWEST, columns)
  const hanging = widthOf(lead)
  const indent = ' '.repeat(room - hanging < LEAST_ROOM ? SHORT_INDENT : hanging)
  const lines: string[] = []
  let current = lead
  let width = hanging
  let isEmpty = true
  for (const word of rest.split(BREAKS)) {
    const wide = widthOf(word)
    // A word that no line has room for overflows one of its own: broken, it could not be copied.
    if (!isEmpty && width + 1 + wide > room) {
      lines.push(current)
      current = indent
      width = indent.length
      isEmpty = true
    }
    current += isEmpty ? word : ` ${word}`
    width += wide + (isEmpty ? 0 : 1)
    isEmpty = false
  }
  return styledByLine([...lines, current]).join('\n')
}

/** A style that goes on in the next line ends with the line and begins anew: pagers end it there. */
function styledByLine(lines: readonly string[]): string[] {
  let open = ''
  return lines.map(text => {
    const before = open
    for (const [style] of text.matchAll(STYLE)) open = style === RESET ? '' : style
    const end = open === '' ? '' : RESET
    if (before === '') return `${text}${end}`
    const at = text.length - text.trimStart().length
    return `${text.slice(0, at)}${before}${text.slice(at)}${end}`
  })
}
