DO $$
DECLARE partition name;
BEGIN
    FOR partition IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'candle_1m'::regclass AND relname LIKE 'candle_1m\_next\_%'
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', partition, replace(partition, '_next', ''));
    END LOOP;
END $$
