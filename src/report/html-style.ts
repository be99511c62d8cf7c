/**
 * The style of the HTML report, light and dark by the reader's own setting. Text has at least 4.5 times the contrast of
 * what it stands on (WCAG 1.4.3), and no state is told by colour alone.
 */
export const STYLE = `
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --passed: #116329; --failed: #a40e26; --blocked: #6f5300; --part: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --text: #e6edf3; --quiet: #9da7b3; --line: #30363d;
  --panel: #161b22; --passed: #56d364; --failed: #ff8a80; --blocked: #e3b341; --part: #79c0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
header { border: 1px solid var(--line); border-left: 0.5rem solid; border-radius: 0.4rem; padding: 0.75rem 1rem;
  background: var(--panel); }
header.passed { border-left-color: var(--passed); }
header.failed { border-left-color: var(--failed); }
h1 { margin: 0; font-size: 1.35rem; line-height: 1.3; }
header.passed h1 { color: var(--passed); }
header.failed h1 { color: var(--failed); }
h2 { margin: 1.75rem 0 0.5rem; font-size: 1.15rem; }
h3 { margin: 0.75rem 0 0.25rem; font-size: 1rem; }
p { margin: 0.35rem 0; }
ul, ol { padding-left: 1.25rem; }
code, pre, dd, .time { font-family: ui-monospace, monospace; font-size: 0.875rem; }
pre { margin: 0.35rem 0; padding: 0.5rem; background: var(--panel); border: 1px solid var(--line); border-radius: 0.3rem;
  white-space: pre-wrap; }
dl { margin: 0; }
dl div { display: grid; grid-template-columns: minmax(7rem, 12rem) 1fr; gap: 0 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
.aside, footer { color: var(--quiet); font-weight: normal; font-size: 0.875rem; }
.badge { display: inline-block; min-width: 5rem; font-size: 0.875rem; font-weight: 600; }
.badge.passed { color: var(--passed); }
.badge.failed { color: var(--failed); }
.badge.blocked { color: var(--blocked); }
.criteria, .checks, .waterfall { list-style: none; padding: 0; margin: 0; }
.checks > li { padding: 0.25rem 0 0.5rem; border-bottom: 1px solid var(--line); }
.checks > li.failed { border-left: 0.25rem solid var(--failed); padding-left: 0.75rem; }
details { margin-top: 0.25rem; }
summary { cursor: pointer; color: var(--part); }
.axis { display: flex; justify-content: space-between; margin: 0 5rem 0.25rem 20rem; color: var(--quiet);
  font-size: 0.75rem; }
.waterfall li { display: grid; grid-template-columns: 20rem 1fr 5rem; align-items: center; font-size: 0.875rem; }
.waterfall .part .name { padding-left: 1.25rem; color: var(--quiet); }
.waterfall .check { border-top: 1px solid var(--line); }
.waterfall svg { display: block; height: 0.7rem; background: var(--panel); }
.waterfall .time { padding-left: 0.5rem; text-align: right; font-size: 0.75rem; }
.waterfall .each { grid-column: 1 / -1; padding-left: 1.25rem; color: var(--quiet); font-size: 0.75rem; }
.waterfall .passed rect { fill: var(--passed); }
.waterfall .failed rect { fill: var(--failed); }
.waterfall .part rect { fill: var(--part); }
footer { margin-top: 2rem; }
@media (max-width: 44rem) {
  .waterfall li { grid-template-columns: 1fr auto; }
  .waterfall svg { grid-column: 1 / -1; grid-row: 2; margin-bottom: 0.35rem; }
  .axis { margin: 0 0 0.25rem; }
  dl div { grid-template-columns: 1fr; padding-bottom: 0.25rem; }
}
@media print {
  details::details-content { content-visibility: visible; height: auto; }
  body { font-size: 11px; }
  main { max-width: none; padding: 0; }
  header, li, pre { break-inside: avoid; }
  svg, header { print-color-adjust: exact; }
}
`
