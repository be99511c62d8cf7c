/** `npx tsx src/migrate.ts [OPTIONS]` is `npm run migrate -- [OPTIONS]`. An entry: nobody imports it. */
process.argv.splice(2, 0, 'migrate')
await import('./cli.ts')
