/**
 * What to run in the back end, and how it is typed there.
 *
 * expression   Elixir: an Ecto query, then the INSERT, on one connection, which is held for 3 s; in the running
 *              application its own pool is used, else a pool of one connection is started with its configuration
 * way          a command that evaluates it
 */
import type { Engine } from '../database/engine.ts'
import { dollarQuoted, sqlStatement, witnessStatement } from '../database/witness-statement.ts'

export interface Ids {
  readonly engine: Engine['id']
  readonly runId: string
  readonly rowId: string
}

/** How long the session is held after the INSERT, so that the server still lists it, s. */
const HOLD_SECONDS = 3
/** The back end of this deployment, where no other app is named. */
const BACK_END_APP = 'multiplayer-fabric-uro'

/** A text as an Elixir string; what it interpolates is marked by `#{`, which no text of ours has otherwise. */
const elixirString = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`

/** A word for sh: in single quotes, each of its own written as '\''. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** The Elixir expression, in one line, without a single quote. */
export function elixirExpression(ids: Ids): string {
  // Two values, both ours, stand in for the pool: no text of anybody else's gets into the statement.
  const statement = witnessStatement({ ...ids, expression: 'elixir', pool: '#{pool}', quote: dollarQuoted })
  const write = [
    'repo.exists?("connection_probe")',
    `repo.query!(${elixirString(statement)}, [])`,
    `IO.puts("the row is written; its session is held for ${HOLD_SECONDS} s")`,
    `Process.sleep(${HOLD_SECONDS * 1000})`,
  ].join('; ')
  return [
    `write = fn repo, pool -> repo.checkout(fn -> ${write} end) end`,
    'if Process.whereis(Uro.Repo), do: write.(Uro.Repo, "running"), else: Ecto.Migrator.with_repo(Uro.Repo, fn repo -> write.(repo, "one-off") end, pool_size: 1)',
  ].join('; ')
}

/**
 * What evaluates an expression in a machine of the back end: a script for busybox's sh. The path variables of the
 * certificates are in the environment of the running server only, so it is taken from there; the binary of the image
 * evaluates nothing itself, the release that it has unpacked does.
 */
export const machineScript = (expression: string): string => `PATH=$PATH:/usr/local/bin
E=${shellWord(expression)}
for P in /proc/[0-9]*; do
  if [ "$(cat $P/comm 2>/dev/null)" = beam.smp ] && tr '\\0' '\\n' <$P/environ 2>/dev/null | grep -q ^DATABASE_URL=; then
    R=$(uro maintenance directory </dev/null)/bin/uro
    xargs -0 -s 100000 sh -c 'R=$1; E=$2; shift 2; exec env "$@" "$R" eval "$E"' sh "$R" "$E" <$P/environ
    exit
  fi
done
echo "no running beam.smp has DATABASE_URL" >&2
exit 1
`

/**
 * The script, for `fly ssh console -C`, which splits words as a shell does and runs none. In base64 there is nothing
 * that this shell, that splitting or the shell over there takes for its own.
 */
export function flyCommand(expression: string, app: string | null): string {
  const script = Buffer.from(machineScript(expression)).toString('base64')
  return `fly ssh console -a ${app ?? BACK_END_APP} -C "sh -c 'echo ${script} | base64 -d | sh'"`
}

/** The ways to evaluate the expression, which a shell has as $E; what each proves, and whether it was tried. */
const WAYS: readonly (readonly [says: string, command: string])[] = [
  ['into the running release, its own pool (measured)', 'bin/uro rpc "$E"'],
  ['a release, once: the configuration, not the running pool (measured)', 'bin/uro eval "$E"'],
  ['the source, once: likewise (measured)', 'mix run --no-start -e "$E"'],
  [
    'the release that the Burrito binary has unpacked, once: likewise (not measured)',
    '"$(uro maintenance directory)"/bin/uro eval "$E"',
  ],
]

/** All of it, for a person: several lines, with a line end. */
export function instructions(
  ids: Ids,
  { app, waitMs }: { readonly app: string | null; readonly waitMs: number },
): string {
  const expression = elixirExpression(ids)
  const lines = [
    `waiting ${waitMs / 1000} s for a row that the back end writes through its own connection. Run one of these there:`,
    '',
    "# on Fly, in a started machine of the app; the environment is the running server's (not run on Fly)",
    flyCommand(expression, app),
    '',
    '# elsewhere in sh, with the environment of the back end: the expression, then one of the commands',
    `E=${shellWord(expression)}`,
    ...WAYS.map(([says, command]) => `${command.padEnd(66)} # ${says}`),
    '',
    '# any other client, e.g. psql (measured); its session must stay for some seconds',
    sqlStatement(ids),
    `\\! sleep ${HOLD_SECONDS}`,
    '',
    `run ${ids.runId}; the expression alone: --print elixir --run-id ${ids.runId}`,
  ]
  return `${lines.join('\n')}\n`
}
