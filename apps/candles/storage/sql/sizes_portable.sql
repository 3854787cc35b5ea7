-- Relations with their partitions, if any.
WITH given AS (
    SELECT name, name::regclass AS id, number FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, number)
), parts AS (
    SELECT given.name, given.number, coalesce(i.inhrelid, given.id) AS id, i.inhrelid IS NOT NULL AS parted
    FROM given LEFT JOIN pg_inherits AS i ON i.inhparent = given.id
)
SELECT parts.name, sum(greatest(c.reltuples, 0))::bigint, sum(pg_total_relation_size(c.oid))::bigint,
       count(*) FILTER (WHERE parts.parted)::integer, 0, NULL::bigint, NULL::bigint
FROM parts JOIN pg_class AS c ON c.oid = parts.id
GROUP BY parts.name, parts.number
ORDER BY parts.number
