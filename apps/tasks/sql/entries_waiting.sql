-- How many entries of each of some tasks wait, up to a number, and for how long the first of them has.
SELECT t.task, w.count, w.age
FROM unnest(%(tasks)s::text[], %(sizes)s::integer[]) AS t (task, size)
CROSS JOIN LATERAL (
    SELECT count(*) AS count, extract(epoch FROM clock_timestamp() - min(e.requested_at))::float8 AS age
    FROM (
        SELECT requested_at
        FROM tasks_entry
        WHERE task = t.task AND run_id IS NULL
        ORDER BY requested_at
        LIMIT t.size
    ) AS e
) AS w
WHERE w.count > 0
