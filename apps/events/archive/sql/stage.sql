CREATE TEMPORARY TABLE events_restored ON COMMIT DROP AS
SELECT
    (line ->> 'position')::bigint AS position, line ->> 'stream' AS stream,
    (line ->> 'version')::integer AS version, line ->> 'type' AS type,
    (line ->> 'schema_version')::smallint AS schema_version, line -> 'data' AS data, line -> 'meta' AS meta,
    (line ->> 'recorded_at')::timestamptz AS recorded_at
FROM events_line;

ANALYZE events_restored
