-- Which of these partitions there are. Asked of the catalog's rows: to_regclass() would answer from a cache
-- that waiting for an advisory lock does not renew.
SELECT child.relname
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = %(parent)s::regclass AND child.relname = ANY(%(names)s)
