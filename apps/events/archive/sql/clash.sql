-- An event that has the place of one in the file and is another.
SELECT e.stream, e.version, e.position
FROM events_restored AS r
JOIN events_event AS e ON e.position = r.position
WHERE (e.stream, e.version, e.type, e.schema_version, e.data, e.meta, e.recorded_at)
    <> (r.stream, r.version, r.type, r.schema_version, r.data, r.meta, r.recorded_at)
UNION ALL
SELECT e.stream, e.version, e.position
FROM events_restored AS r
JOIN events_event AS e ON e.stream = r.stream AND e.version = r.version
WHERE e.position <> r.position
LIMIT 1
