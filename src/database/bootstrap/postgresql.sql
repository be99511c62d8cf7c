-- What root (a superuser) runs once per database, before the first migration. Run again, it changes nothing.
-- PostgreSQL 15 and later:  psql -v ON_ERROR_STOP=1 -f FILE 'postgresql://root@HOST/postgres?…'
-- One statement a line (src/database/bootstrap/index.ts reads it so). Roles have no passwords: they log in with a client
-- certificate whose CN is the role.
-- PostgreSQL has no CREATE DATABASE or ROLE IF NOT EXISTS: psql's \gexec runs what the SELECT returns, if anything.
SELECT 'CREATE DATABASE "uro"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'uro') \gexec
SELECT 'CREATE ROLE gateway_admin LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_admin') \gexec
SELECT 'CREATE ROLE gateway_writer LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_writer') \gexec
SELECT 'CREATE ROLE gateway_reader LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_reader') \gexec
-- Where they were there before, perhaps without.
ALTER ROLE gateway_admin LOGIN;
ALTER ROLE gateway_writer LOGIN;
ALTER ROLE gateway_reader LOGIN;

GRANT CREATE, CONNECT ON DATABASE "uro" TO gateway_admin;
GRANT CONNECT ON DATABASE "uro" TO gateway_writer, gateway_reader;

-- Before PostgreSQL 15 everybody may create tables in schema public; since then it is closed already.
\connect "uro"
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM gateway_writer, gateway_reader;
REVOKE CREATE ON DATABASE "uro" FROM gateway_writer, gateway_reader;
GRANT CREATE, USAGE ON SCHEMA public TO gateway_admin;
GRANT USAGE ON SCHEMA public TO gateway_writer, gateway_reader;
-- A table that somebody else made before the first migration.
ALTER TABLE IF EXISTS public.connection_probe OWNER TO gateway_admin;
