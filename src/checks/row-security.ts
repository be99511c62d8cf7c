/** Where row-level security is the cause of a failure, the server is asked, and the next step names the policies. */
import { identifier, TABLE_NAME, VERBS, type Verb } from '../database/sql.ts'
import type { ProbeError } from '../failure/error.ts'
import { askAnyone } from './ask-anyone.ts'
import type { Context } from './check.ts'

/** A row of pg_policies. */
interface Policy {
  readonly name: string
  /** PERMISSIVE: lets rows through; RESTRICTIVE: takes of them away */
  readonly kind: string
  /** a verb, or ALL */
  readonly verb: string
  /** whether it lets every row through */
  readonly open: boolean
}

/** What it looks like: 42501 with the verbs held; a write that changes nothing; a row of others that is not there. */
const isSuspect = ({ code, sqlstate, hint }: ProbeError): boolean =>
  (code === 'DML_DENIED' && sqlstate !== null) ||
  (code === 'WRITE_REFUSED' && sqlstate === null) ||
  code === 'ROW_NOT_VISIBLE' ||
  (code === 'WITNESS_NO_ROW' && hint === undefined)

/** What it takes for the row of a witness to come and to be seen; UPDATE and DELETE keep none away. */
const FOR_A_ROW: readonly Verb[] = ['SELECT', 'INSERT']

const TABLE = `public.${TABLE_NAME}`

/** Null where row-level security is off, or is not known of. */
async function policiesOf(context: Context): Promise<readonly Policy[] | null> {
  const rows = await askAnyone<Omit<Policy, 'name'> & { name: string | null }>(
    context,
    'the row-level security query',
    `SELECT p.policyname AS name, p.permissive AS kind, p.cmd AS verb,
            coalesce(p.qual, 'true') = 'true' AND coalesce(p.with_check, 'true') = 'true' AS open
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_policies p
       ON p.schemaname = n.nspname AND p.tablename = c.relname AND p.roles && ARRAY['public', current_user]::name[]
     WHERE n.nspname = 'public' AND c.relname = '${TABLE_NAME}' AND c.relrowsecurity ORDER BY 1`,
  )
  // Without a policy there is one row, of the table alone.
  return rows.length === 0 ? null : rows.flatMap(row => (row.name === null ? [] : [{ ...row, name: row.name }]))
}

/** Whether a policy lets the user do this, with some rows at least. */
const covers = ({ kind, verb }: Policy, wanted: string): boolean =>
  kind === 'PERMISSIVE' && (verb === wanted || verb === 'ALL')

/** Those by which rows are hidden or refused: one that lets every row through makes up for others like it. */
const limitsAmong = (policies: readonly Policy[], wanted: readonly Verb[]): readonly Policy[] =>
  policies.filter(policy => {
    if (policy.open) return false
    const verbs = wanted.filter(verb => covers(policy, verb))
    return verbs.length === 0 || !verbs.every(verb => policies.some(other => other.open && covers(other, verb)))
  })

/**
 * The same failure, its hint and evidence about the policies, if row-level security keeps the user from a verb or from
 * some rows. Adds nothing where it does not, or where there is no session to ask.
 */
export async function explainedByPolicies(error: ProbeError, context: Context): Promise<ProbeError> {
  if (!isSuspect(error) || context.budget.signal.aborted) return error
  const policies = await policiesOf(context)
  if (!policies) return error
  const { user } = context.config
  const wanted = error.code === 'WITNESS_NO_ROW' ? FOR_A_ROW : VERBS
  const concerned = policies.filter(({ verb }) => verb === 'ALL' || wanted.some(one => one === verb))
  const closed = VERBS.filter(verb => !policies.some(policy => covers(policy, verb)))
  const limits = limitsAmong(concerned, wanted)
  if (!closed.some(verb => wanted.includes(verb)) && limits.length === 0) return error
  const says = [
    ...(closed.length > 0 ? [`no policy lets ${user} ${closed.join(', ')}`] : []),
    ...limits.map(({ name, kind, verb }) => `policy ${name} (${kind}, ${verb}) lets some rows through only`),
  ]
  const fixes = [
    `ALTER TABLE ${TABLE} DISABLE ROW LEVEL SECURITY`,
    ...limits.map(({ name }) => `DROP POLICY ${identifier(name)} ON ${TABLE}`),
    ...(closed.length > 0 ? [`CREATE POLICY {role} ON ${TABLE} TO {role} USING (true)`] : []),
  ]
  return error.with({
    hint: `row-level security is on for ${TABLE}, and no GRANT changes that: ${says.join('; ')}. As its owner: ${fixes.join(', or ')}`,
    evidence: { policies: policies.map(({ name, kind, verb }) => `${name} (${kind}, ${verb})`) },
  })
}
