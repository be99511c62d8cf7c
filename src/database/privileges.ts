/** What a user owns, holds beyond the four verbs, and may give on: asked of each engine in its own way. */
import { type Engine, isTemporary, TABLE_ACLS, VIRTUAL_SCHEMAS } from './engine.ts'
import { identifier, literal, VERBS } from './sql.ts'

/** What a database has, as far as its default privileges depend on it. */
export interface Here {
  readonly database: string
  readonly user: string
  /** every role */
  readonly roles: readonly string[]
  readonly schemas: readonly string[]
}

/** One question of those that `otherExcess` is made of. */
export interface ExcessQuestion {
  /**
   * Rows { what, maker, revoke, as }: in words; the role whose default privileges they are, null where it needs no look;
   * the statement that takes it away, and as whom it is typed
   */
  readonly sql: string
  /** the SQLSTATEs by which a release says that it does not have what is asked for: there is none of it then */
  readonly unknown?: readonly string[]
  /** asked only where the first of these is known: releases differ in whether they have them at all */
  readonly inSchema?: true
}

export interface Privileges {
  /** what the user owns in this database, rows { name }: the kind and the name; what is temporary is left out */
  readonly belongings: string
  /**
   * Privileges on tables of this database that the user or PUBLIC holds and that are beyond the four verbs or come
   * with a grant option: rows { schema, table, column, grantee, privilege, grantable }
   */
  readonly excessPrivileges: string
  /**
   * What the user or PUBLIC may do besides, beyond CONNECT on this database and USAGE on its schemas, every grant option,
   * and the default privileges that would give either more than the four verbs on what is made here next. CREATE is
   * another question's matter.
   */
  readonly otherExcess: (here: Here) => readonly ExcessQuestion[]
}

/** The verbs as an SQL list. */
const FOUR_VERBS = `(${VERBS.map(literal).join(',')})`

/** PostgreSQL: an ACL entry x is the user's or PUBLIC's, and for whom it is. */
const TO_US = 'x.grantee IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))'
const TO_WHOM = `' to ' || (CASE WHEN x.grantee = 0 THEN 'public' ELSE current_user::text END)`
const FROM_WHOM = `' FROM ' || (CASE WHEN x.grantee = 0 THEN 'public' ELSE quote_ident(current_user::text) END)`
/** A superuser may take away all of it. */
const AS_ROOT = `'root' AS "as"`

/** PostgreSQL: objects of which every privilege lets its holder create something. */
const CREATING = "('foreign data wrapper', 'foreign server', 'tablespace')"

const postgresql: Privileges = {
  // Every kind of object that has an owner: the server itself keeps this list, for DROP ROLE. Its own default privileges
  // and user mappings are in it, and no belongings; nor are other databases and their subscriptions.
  belongings: `
    SELECT o.type || ' ' || o.identity AS name
    FROM pg_catalog.pg_shdepend s
    JOIN pg_catalog.pg_roles u ON u.oid = s.refobjid
    JOIN pg_catalog.pg_database d ON d.datname = current_database()
    CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) o
    WHERE u.rolname = current_user AND s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.deptype = 'o'
      AND s.dbid IN (0, d.oid)
      AND (s.classid <> 'pg_catalog.pg_database'::regclass OR s.objid = d.oid)
      AND (s.classid <> 'pg_catalog.pg_subscription'::regclass
           OR s.objid IN (SELECT b.oid FROM pg_catalog.pg_subscription b WHERE b.subdbid = d.oid))
      AND o.identity IS NOT NULL AND o.type NOT IN ('default acl', 'user mapping')
      AND coalesce(o.schema, '') <> 'pg_temp' AND NOT ${isTemporary("coalesce(o.schema, '')")}
    ORDER BY 1 LIMIT 20`,
  // aclexplode sees what information_schema does not: MAINTAIN, and grants by column.
  excessPrivileges: `
    SELECT n.nspname AS schema, c.relname AS "table", x.col AS "column",
           CASE WHEN x.grantee = 0 THEN 'public' ELSE current_user::text END AS grantee,
           x.privilege_type AS privilege, x.is_grantable AS grantable
    ${TABLE_ACLS}
    WHERE c.relkind IN ('r','p','v','m','f') AND c.relpersistence <> 't'
      AND ${TO_US}
      AND (x.privilege_type NOT IN ${FOUR_VERBS} OR x.is_grantable OR (n.nspname = 'pg_catalog' AND x.grantee <> 0))
    ORDER BY 1, 2, 3, 5 LIMIT 100`,
  otherExcess: () => [
    {
      // With a grant option anything; without it what lets its holder create something (a server of a wrapper, a user
      // mapping of a server, a table in a tablespace), and the server's own functions, which nobody grants for nothing.
      // Three thousand functions and six hundred types have no ACL: to name them would take 40 ms.
      sql: `
     SELECT x.privilege_type || ' on ' || o.kind || ' ' || o.name || ${TO_WHOM} ||
            (CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END) AS what, NULL AS maker,
            'REVOKE ' || (CASE WHEN o.kind IN ${CREATING} OR o.own THEN '' ELSE 'GRANT OPTION FOR ' END) || x.privilege_type || ' ON ' ||
            (CASE o.kind WHEN 'function' THEN 'ROUTINE' ELSE upper(o.kind) END) || ' ' || o.name || ${FROM_WHOM} AS revoke, ${AS_ROOT}
     FROM (
       SELECT 'database' AS kind, quote_ident(datname) AS name, datacl AS acl, false AS own FROM pg_catalog.pg_database WHERE datname = current_database()
       UNION ALL SELECT 'schema', quote_ident(nspname), nspacl, false FROM pg_catalog.pg_namespace WHERE nspacl IS NOT NULL
       UNION ALL SELECT 'sequence', c.oid::regclass::text, c.relacl, false FROM pg_catalog.pg_class c WHERE c.relkind = 'S' AND c.relacl IS NOT NULL
       UNION ALL SELECT 'function', p.oid::regprocedure::text, p.proacl, p.pronamespace = 'pg_catalog'::regnamespace FROM pg_catalog.pg_proc p WHERE p.proacl IS NOT NULL
       UNION ALL SELECT 'type', t.oid::regtype::text, t.typacl, false FROM pg_catalog.pg_type t WHERE t.typacl IS NOT NULL
       UNION ALL SELECT 'language', quote_ident(lanname), lanacl, false FROM pg_catalog.pg_language
       UNION ALL SELECT 'foreign data wrapper', quote_ident(fdwname), fdwacl, false FROM pg_catalog.pg_foreign_data_wrapper
       UNION ALL SELECT 'foreign server', quote_ident(srvname), srvacl, false FROM pg_catalog.pg_foreign_server
       UNION ALL SELECT 'tablespace', quote_ident(spcname), spcacl, false FROM pg_catalog.pg_tablespace
     ) o CROSS JOIN LATERAL aclexplode(o.acl) x
     WHERE (x.is_grantable OR o.kind IN ${CREATING} OR (o.own AND x.grantee <> 0)) AND ${TO_US}
     ORDER BY 1 LIMIT 100`,
    },
    {
      sql: `
     SELECT x.privilege_type || ' on parameter ' || p.parname || ${TO_WHOM} AS what, NULL AS maker,
            'REVOKE ' || x.privilege_type || ' ON PARAMETER ' || p.parname || ${FROM_WHOM} AS revoke, ${AS_ROOT}
     FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) x
     WHERE ${TO_US} ORDER BY 1 LIMIT 100`,
      // The table came with PostgreSQL 15.
      unknown: ['42P01'],
    },
    {
      sql: `
     SELECT d.privilege_type || ' on every ' || d.kind || ' that ' || d.maker || ' makes' || d.to_whom ||
            (CASE WHEN d.is_grantable THEN ' with grant option' ELSE '' END) || ' (default privileges)' AS what, d.maker,
            'ALTER DEFAULT PRIVILEGES FOR ROLE ' || quote_ident(d.maker) || d.place || ' REVOKE ' ||
            (CASE WHEN d.usual THEN 'GRANT OPTION FOR ' ELSE '' END) || d.privilege_type || ' ON ' || upper(d.kind) || 'S' || d.from_whom AS revoke,
            ${AS_ROOT}
     FROM (
       SELECT x.privilege_type, x.is_grantable, r.rolname::text AS maker, ${TO_WHOM} AS to_whom, ${FROM_WHOM} AS from_whom,
              coalesce(' IN SCHEMA ' || quote_ident(n.nspname), '') AS place,
              (CASE a.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function'
                                    WHEN 'T' THEN 'type' WHEN 'n' THEN 'schema' ELSE 'large object' END) AS kind,
              (CASE a.defaclobjtype
                WHEN 'r' THEN x.privilege_type IN ${FOUR_VERBS}
                WHEN 'S' THEN x.privilege_type IN ('USAGE', 'SELECT', 'UPDATE')
                WHEN 'f' THEN x.privilege_type = 'EXECUTE'
                WHEN 'L' THEN x.privilege_type IN ('SELECT', 'UPDATE')
                ELSE x.privilege_type = 'USAGE' END) AS usual
       FROM pg_catalog.pg_default_acl a
       JOIN pg_catalog.pg_roles r ON r.oid = a.defaclrole
       LEFT JOIN pg_catalog.pg_namespace n ON n.oid = a.defaclnamespace
       CROSS JOIN LATERAL aclexplode(a.defaclacl) x
       WHERE ${TO_US}
     ) d WHERE d.is_grantable OR NOT d.usual
     ORDER BY 1 LIMIT 100`,
    },
  ],
}

/** No such statement, column, table or function: what CockroachDB shows of privileges grew from release to release. */
const NOT_IN_THIS_RELEASE = ['42601', '42703', '42P01', '42883'] as const

/** CockroachDB: the user owns it, by this column, and its schema n is none of the server's. */
const owned = (owner: string): string => `
    JOIN pg_catalog.pg_roles u ON u.oid = ${owner}
    WHERE u.rolname = current_user AND n.nspname NOT IN (${VIRTUAL_SCHEMAS}) AND NOT ${isTemporary('n.nspname')}`

const cockroachdb: Privileges = {
  // pg_shdepend has the owners of tables alone there (measured on 22.1). A table has a type of its name, and every type
  // one of its arrays.
  belongings: `
    SELECT 'table ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    ${owned('c.relowner')} AND c.relkind IN ('r','p','v','m','f','S')
    UNION ALL
    SELECT 'type ' || quote_ident(n.nspname) || '.' || quote_ident(t.typname)
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    ${owned('t.typowner')} AND t.typcategory <> 'A'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
    UNION ALL
    SELECT 'function ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    ${owned('p.proowner')}
    UNION ALL
    SELECT 'schema ' || quote_ident(n.nspname)
    FROM pg_catalog.pg_namespace n
    ${owned('n.nspowner')}
    UNION ALL
    SELECT 'database ' || quote_ident(d.datname)
    FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles u ON u.oid = d.datdba
    WHERE u.rolname = current_user AND d.datname = current_database()
    LIMIT 20`,
  // has_table_privilege says true for TRUNCATE and REFERENCES to everybody there; information_schema is right.
  excessPrivileges: `
    SELECT table_schema AS schema, table_name AS "table", NULL AS "column", grantee,
           privilege_type AS privilege, is_grantable = 'YES' AS grantable
    FROM information_schema.table_privileges
    WHERE grantee IN (current_user, 'public')
      AND table_schema NOT IN (${VIRTUAL_SCHEMAS}) AND NOT ${isTemporary('table_schema')}
      AND (privilege_type NOT IN ${FOUR_VERBS} OR is_grantable = 'YES')
    ORDER BY 1, 2, 5 LIMIT 100`,
  otherExcess: ({ database, user, roles, schemas }) => {
    const us = `grantee IN (${literal(user)}, 'public')`
    const onDatabase = `' on database ' || database_name || ' to ' || grantee`
    const revoke = (what: string, object: string) =>
      `'REVOKE ' || ${what} || ' ON ' || ${object} || ' FROM ' || quote_ident(grantee) AS revoke, ${AS_ROOT}`
    const grantOption = `'GRANT OPTION FOR ' || privilege_type`
    const theDatabase = `'DATABASE ' || quote_ident(database_name)`
    // Everybody is root's matter; a maker's own are the maker's, and root gets "must be a member of" (measured on 22.1).
    const ofMaker = (place: string, what: string) =>
      `'ALTER DEFAULT PRIVILEGES FOR ' || coalesce('ROLE ' || quote_ident(role), 'ALL ROLES') || ${literal(place)} || ' REVOKE ' ||
           ${what} || ' ON ' || upper(object_type) || ' FROM ' || quote_ident(grantee) AS revoke,
           CASE WHEN role IS NULL OR role IN ('root', 'admin') THEN 'root' ELSE role END AS "as"`
    const makers = [`ROLE ${roles.map(identifier).join(', ')}`, 'ALL ROLES']
    const beyond = `NOT (CASE object_type
        WHEN 'tables' THEN privilege_type IN ${FOUR_VERBS}
        WHEN 'sequences' THEN privilege_type IN ('USAGE', 'SELECT', 'UPDATE')
        WHEN 'functions' THEN privilege_type = 'EXECUTE'
        WHEN 'routines' THEN privilege_type = 'EXECUTE'
        ELSE privilege_type = 'USAGE' END)`
    // The outer select: with null_ordered_last every ORDER BY beside a DISTINCT is refused there (42P10, measured on 22.1).
    const defaults = (place: string, where: string, how: string, what: string): string[] =>
      makers.map(
        maker => `
    SELECT * FROM (SELECT DISTINCT privilege_type || ' on all ' || object_type || ' that ' || coalesce(role, 'anybody') || ' makes' ||
           ${literal(place.toLowerCase())} || ' to ' || grantee || ${literal(`${how} (default privileges)`)} AS what,
           role AS maker, ${ofMaker(place, what)}
    FROM [SHOW DEFAULT PRIVILEGES FOR ${maker}${place}] WHERE ${us} AND ${where}) AS d ORDER BY 1 LIMIT 100`,
      )
    // The column came with 22.2.
    const grantable = (place: string) => defaults(place, 'is_grantable', ' with grant option', grantOption)
    return [
      {
        sql: `SELECT privilege_type || ${onDatabase} AS what, NULL AS maker,
                     ${revoke('privilege_type', theDatabase)}
              FROM [SHOW GRANTS ON DATABASE ${identifier(database)}]
              WHERE ${us} AND privilege_type NOT IN ('CONNECT', 'CREATE') ORDER BY 1`,
        unknown: NOT_IN_THIS_RELEASE,
      },
      {
        sql: `SELECT privilege_type || ${onDatabase} || ' with grant option' AS what, NULL AS maker,
                     ${revoke(grantOption, theDatabase)}
              FROM [SHOW GRANTS ON DATABASE ${identifier(database)}] WHERE ${us} AND is_grantable ORDER BY 1`,
        unknown: NOT_IN_THIS_RELEASE,
      },
      {
        sql: `SELECT privilege_type || ' on schema ' || table_schema || ' to ' || grantee ||
                     (CASE WHEN is_grantable = 'YES' THEN ' with grant option' ELSE '' END) AS what, NULL AS maker,
                     ${revoke(`(CASE privilege_type WHEN 'USAGE' THEN 'GRANT OPTION FOR ' ELSE '' END) || privilege_type`, `'SCHEMA ' || quote_ident(table_schema)`)}
              FROM information_schema.schema_privileges
              WHERE ${us} AND table_schema NOT IN (${VIRTUAL_SCHEMAS})
                AND (privilege_type NOT IN ('USAGE', 'CREATE') OR is_grantable = 'YES') ORDER BY 1`,
        unknown: NOT_IN_THIS_RELEASE,
      },
      {
        sql: `SELECT privilege_type || ' on type ' || type_schema || '.' || type_name || ' to ' || grantee ||
                     ' with grant option' AS what, NULL AS maker,
                     ${revoke(grantOption, `'TYPE ' || quote_ident(type_schema) || '.' || quote_ident(type_name)`)}
              FROM information_schema.type_privileges WHERE ${us} AND is_grantable = 'YES' ORDER BY 1 LIMIT 100`,
        unknown: NOT_IN_THIS_RELEASE,
      },
      ...defaults('', beyond, '', 'privilege_type').map(sql => ({ sql, unknown: NOT_IN_THIS_RELEASE })),
      ...grantable('').map(sql => ({ sql, unknown: NOT_IN_THIS_RELEASE })),
      // Not on 22.1, where nothing shows them to the user.
      ...schemas
        .map(schema => ` IN SCHEMA ${identifier(schema)}`)
        .flatMap(place => [...defaults(place, beyond, '', 'privilege_type'), ...grantable(place)])
        .map(sql => ({ sql, unknown: NOT_IN_THIS_RELEASE, inSchema: true as const })),
    ]
  },
}

/** The questions for this engine. */
export const privilegesOf = ({ id }: Engine): Privileges => (id === 'cockroachdb' ? cockroachdb : postgresql)
