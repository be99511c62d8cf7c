-- What root runs once per database, before the first migration. Run again, it changes nothing.
-- CockroachDB 22.1 and later:  cockroach sql --certs-dir=certs --file=FILE
-- One statement a line (src/database/bootstrap/index.ts reads it so). Roles have no passwords: they log in with a client
-- certificate whose CN is the role.
CREATE DATABASE IF NOT EXISTS "uro";
CREATE ROLE IF NOT EXISTS gateway_admin WITH LOGIN;
CREATE ROLE IF NOT EXISTS gateway_writer WITH LOGIN;
CREATE ROLE IF NOT EXISTS gateway_reader WITH LOGIN;
-- Where they were there before, perhaps without.
ALTER ROLE gateway_admin WITH LOGIN;
ALTER ROLE gateway_writer WITH LOGIN;
ALTER ROLE gateway_reader WITH LOGIN;

GRANT ALL ON DATABASE "uro" TO gateway_admin;
GRANT CONNECT ON DATABASE "uro" TO gateway_writer, gateway_reader;

-- By default everybody may create tables in schema public. Closed to PUBLIC, gateway_admin needs a grant of its own.
USE "uro";
REVOKE CREATE ON SCHEMA public FROM public;
REVOKE CREATE ON SCHEMA public FROM gateway_writer, gateway_reader;
REVOKE CREATE ON DATABASE "uro" FROM gateway_writer, gateway_reader;
GRANT CREATE, USAGE ON SCHEMA public TO gateway_admin;
GRANT USAGE ON SCHEMA public TO gateway_writer, gateway_reader;
-- A table that somebody else made before the first migration.
ALTER TABLE IF EXISTS public.connection_probe OWNER TO gateway_admin;
