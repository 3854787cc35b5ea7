-- The places of cursors in their order, those before the first event left out; and the last position that
-- came with the dump: what lies behind it, is not ahead of this server and did
-- not come back from the archive (0) was recorded here.
CREATE TEMPORARY TABLE events_rebase_place ON COMMIT DROP AS
SELECT place.xid, place.position, row_number() OVER (ORDER BY place.xid, place.position) AS number
FROM (
    SELECT DISTINCT c.xid::text::xid8 AS xid, c.position FROM events_cursor AS c
    WHERE (c.xid, c.position) > (0, 0)
) AS place;

CREATE TEMPORARY TABLE events_rebase_edge ON COMMIT DROP AS
SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xid, greatest(
    (SELECT max(e.position) FROM events_event AS e WHERE e.xid >= pg_snapshot_xmax(pg_current_snapshot())),
    (SELECT max(p.position) FROM events_rebase_place AS p
     WHERE p.xid >= pg_snapshot_xmax(pg_current_snapshot()))
) AS position
