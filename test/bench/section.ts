/** A section of the bench prints Markdown through `print`. */
export type Section = (print: (text: string) => Promise<void>) => Promise<void>
