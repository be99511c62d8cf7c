-- The grants that src/schema.ts declares. Only plain GRANT and REVOKE on connection_probe belong into such a file.
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE connection_probe TO gateway_writer;
