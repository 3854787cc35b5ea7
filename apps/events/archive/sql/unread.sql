EXISTS (
    SELECT FROM events_event AS e
    WHERE e.stream = {stream}
      AND (e.xid, e.position) > (
          SELECT c.xid::text::xid8, c.position FROM events_cursor AS c ORDER BY c.xid, c.position LIMIT 1
      )
)