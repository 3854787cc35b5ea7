-- Each event gets the number of the stretch that it lies in; what was recorded here lies behind all cursors.
UPDATE events_event AS e
SET xid = (
    1 + (
        SELECT count(*) FROM events_rebase_place AS p
        WHERE (p.xid, p.position) < (e.xid, e.position)
           OR (e.xid <> '0' AND e.xid < edge.xid AND e.position > edge.position)
    )
)::text::xid8
FROM events_rebase_edge AS edge
