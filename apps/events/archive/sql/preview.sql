-- Streams and events that may go, streams that a follower has not read, first and last end.
WITH old AS MATERIALIZED (
    SELECT %(prefix)s || {key}::text AS stream, {finished} AS finished_at, {unread} AS unread
    FROM {table}
    WHERE {finished} < %(before)s
)
SELECT
    count(*) FILTER (WHERE NOT unread),
    (SELECT count(*) FROM old JOIN events_event AS e ON e.stream = old.stream WHERE NOT unread),
    count(*) FILTER (WHERE unread),
    min(finished_at) FILTER (WHERE NOT unread),
    max(finished_at) FILTER (WHERE NOT unread)
FROM old
