/** `npx tsx src/probe.ts [OPTIONS]` is `npm run probe -- [OPTIONS]`. An entry: nobody imports it. */
process.argv.splice(2, 0, 'probe')
await import('./cli.ts')
