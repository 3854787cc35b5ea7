-- A follower that is in the middle of what was restored earlier, and would never see what comes before.
SELECT c.follower FROM events_cursor AS c
WHERE c.xid = 0 AND c.position > (
    SELECT min(r.position) FROM events_restored AS r
    WHERE NOT EXISTS (SELECT FROM events_event AS e WHERE e.position = r.position)
)
ORDER BY c.follower
LIMIT 1
