-- Followers that are not ahead of this server and have come to events that were recorded here.
SELECT c.follower
FROM events_cursor AS c, events_rebase_edge AS edge
WHERE c.xid::text::xid8 < edge.xid
  AND EXISTS (
      SELECT FROM events_event AS e
      WHERE e.xid <> '0' AND e.xid < edge.xid AND e.position > edge.position
        AND (e.xid, e.position) <= (c.xid::text::xid8, c.position)
  )
ORDER BY c.follower
