-- Transaction 0 comes before every transaction of every server.
INSERT INTO events_event
    (position, stream, version, type, schema_version, data, meta, recorded_at, xid)
OVERRIDING SYSTEM VALUE
SELECT position, stream, version, type, schema_version, data, meta, recorded_at, '0'
FROM events_restored
ORDER BY position
ON CONFLICT (position) DO NOTHING
