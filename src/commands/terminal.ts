/** What a stream can show. */
import type { WriteStream } from 'node:tty'

type Stream = Pick<WriteStream, 'isTTY' | 'columns'>

/** Whether somebody watches, on a terminal that can be drawn on. */
export const onTerminal = ({ isTTY }: Stream, { TERM }: NodeJS.ProcessEnv): boolean => isTTY === true && TERM !== 'dumb'

/**
 * Whether text for a stream is coloured: on a terminal, unless NO_COLOR (no-color.org) is set; FORCE_COLOR decides by
 * itself, as in Node: 0 and false for no, anything else for yes, also into a file.
 */
export function takesColour(stream: Stream, env: NodeJS.ProcessEnv): boolean {
  const { NO_COLOR, FORCE_COLOR } = env
  if (FORCE_COLOR) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  return onTerminal(stream, env) && !NO_COLOR
}

/** What a terminal has that does not say how wide it is. */
const USUAL_COLUMNS = 80

/** The columns of the terminal; null for what is none, such as a log. */
export const columnsOf = ({ isTTY, columns }: Stream): number | null =>
  isTTY === true ? columns || USUAL_COLUMNS : null

/**
 * A line that is drawn over itself; `clear` takes it away before something else is said.
 * @param draw writes to the terminal; null where there is none, and nothing is drawn
 */
export function rewrittenLine(draw: ((text: string) => void) | null): { show(text: string): void; clear(): void } {
  let isShown = false
  return {
    show(text) {
      draw?.(`\r\u001b[K${text}`)
      isShown = true
    },
    clear() {
      if (isShown) draw?.('\r\u001b[K')
      isShown = false
    },
  }
}
