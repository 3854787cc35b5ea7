-- The partitions of the months before the one that a partition of this name would hold: their names sort by time.
SELECT child.relname
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'candle_1m'::regclass AND child.relname < %s
ORDER BY child.relname
