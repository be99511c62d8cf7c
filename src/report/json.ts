/** The report as JSON (`--json`, schemaVersion 1). */
import { printableJson } from './plain.ts'
import type { Report } from './report.ts'

/** The report, indented, with a line end. Nothing is left out; what could steer a terminal is escaped. */
export const renderJson = (report: Report): string => `${printableJson(report, 2)}\n`
