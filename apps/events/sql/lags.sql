-- Both look-ups follow the index of followers from the cursor's place onwards.
SELECT c.follower, behind.events,
    coalesce(extract(epoch FROM clock_timestamp() - first.recorded_at), 0), c.updated_at
FROM events_cursor AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS events FROM (
        SELECT FROM events_event AS e
        WHERE (e.xid, e.position) > (c.xid::text::xid8, c.position)
        LIMIT %(limit)s
    ) AS unread
) AS behind
LEFT JOIN LATERAL (
    SELECT e.recorded_at FROM events_event AS e
    WHERE (e.xid, e.position) > (c.xid::text::xid8, c.position)
    ORDER BY e.xid, e.position
    LIMIT 1
) AS first ON true
WHERE %(follower)s::text IS NULL OR c.follower = %(follower)s
ORDER BY c.follower
