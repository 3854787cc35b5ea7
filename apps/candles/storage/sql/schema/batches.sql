-- How many rows TimescaleDB compresses as one, in this database's sessions and jobs from now on. Prices with the
-- most digits take two bytes each: a thousand of them do not fit into one piece of TOAST (1996 bytes) and waste a
-- part of every page. Who may not set it for the database has a tenth more on the disk.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET timescaledb.compression_batch_size_limit = 950', current_database());
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'timescaledb.compression_batch_size_limit stays as it is';
END $$
