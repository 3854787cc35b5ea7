-- Is anything ahead of the next transaction that this server will begin?
SELECT
    EXISTS (SELECT FROM events_event AS e WHERE e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM events_cursor AS c WHERE c.xid::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot()))
