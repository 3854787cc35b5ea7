-- Relations with their partitions, if any. Rows are estimated as PostgreSQL plans: as many on a page as there were
-- when it looked last. Where it has never looked, a page is taken to be full: all rows of a relation are equally wide,
-- 80 bytes those of minutes and 88 the others, and 4 more for each.
WITH given AS (
    SELECT name, name::regclass AS id, number FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, number)
), parts AS (
    SELECT given.name, given.number, coalesce(i.inhrelid, given.id) AS id, i.inhrelid IS NOT NULL AS parted
    FROM given LEFT JOIN pg_inherits AS i ON i.inhparent = given.id
)
SELECT parts.name,
       sum(
           pg_relation_size(c.oid) / page.size * CASE
               WHEN c.reltuples >= 0 AND c.relpages > 0 THEN c.reltuples / c.relpages
               ELSE (page.size - 24) / CASE WHEN parts.name = 'candle_1m' THEN 84 ELSE 92 END
           END
       )::bigint,
       sum(pg_total_relation_size(c.oid))::bigint,
       count(*) FILTER (WHERE parts.parted)::integer, 0, NULL::bigint, NULL::bigint,
       min(to_date(right(c.relname, 7), 'YYYY_MM')) FILTER (WHERE parts.parted)::timestamp AT TIME ZONE 'UTC'
FROM parts
JOIN pg_class AS c ON c.oid = parts.id
CROSS JOIN (SELECT current_setting('block_size')::integer AS size) AS page
GROUP BY parts.name, parts.number
ORDER BY parts.number
