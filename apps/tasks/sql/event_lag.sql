-- The last number given to an event, and how many numbers each follower is behind it.
SELECT last.position, cursor.follower, greatest(last.position - cursor.position, 0)
FROM (
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('events_event', 'position')), 0) AS position
) AS last
LEFT JOIN events_cursor AS cursor ON true
ORDER BY cursor.follower
