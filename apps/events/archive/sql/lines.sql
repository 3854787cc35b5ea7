-- json and not jsonb: the text of data and meta is taken as it is, with every digit of their numbers.
SELECT
    stream, position, recorded_at,
    json_build_object(
        'position', position, 'stream', stream, 'version', version, 'type', type,
        'schema_version', schema_version, 'data', data, 'meta', meta,
        'recorded_at', recorded_at, 'xid', xid::text
    )::text
FROM events_event
WHERE stream = ANY(%(streams)s)
ORDER BY stream, version
