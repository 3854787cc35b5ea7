-- Serialise the claims of some keys until the end of the transaction. In the order of the locks, so that two
-- claims of overlapping keys never wait for each other.
SELECT pg_advisory_xact_lock(lock)
FROM (SELECT DISTINCT hashtextextended(key, 0) AS lock FROM unnest(%(keys)s::text[]) AS k (key) ORDER BY 1) AS l
