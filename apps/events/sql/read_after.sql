-- Position numbers become visible out of order, because transactions commit in another order than
-- they drew them. Everything below the oldest transaction still running is settled for good, and
-- within that, (xid, position) is an order into which nothing can be inserted later.
SELECT position, stream, version, type, schema_version, data, meta, recorded_at, xid::text
FROM events_event AS e
WHERE (e.xid, e.position) > (%(xid)s::text::xid8, %(position)s)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
-- Of the table: a bare xid would be the column of text above, in which 1000 comes before 999.
ORDER BY e.xid, e.position
LIMIT %(limit)s
