-- Nothing is inserted unless the stream stands exactly at the expected version.
INSERT INTO events_event (stream, version, type, schema_version, data, meta)
SELECT %(stream)s, %(after)s + new.ordinality, new.type, new.schema_version, new.data::jsonb, %(meta)s::jsonb
FROM unnest(%(types)s::text[], %(schema_versions)s::smallint[], %(data)s::text[])
     WITH ORDINALITY AS new (type, schema_version, data, ordinality)
WHERE (SELECT coalesce(max(version), 0) FROM events_event WHERE stream = %(stream)s) = %(after)s
ON CONFLICT (stream, version) DO NOTHING
RETURNING position, stream, version, type, schema_version, data, meta, recorded_at, xid::text
