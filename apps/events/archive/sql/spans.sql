-- What there is of each stream.
SELECT stream, count(*), max(version), max(position)
FROM events_event
WHERE stream = ANY(%(streams)s)
GROUP BY stream
