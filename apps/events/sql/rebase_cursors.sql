-- Behind everything in its stretch.
UPDATE events_cursor AS c
SET xid = p.number, position = coalesce((SELECT max(e.position) FROM events_event AS e), 0)
FROM events_rebase_place AS p
WHERE p.xid = c.xid::text::xid8 AND p.position = c.position
