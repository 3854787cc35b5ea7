-- Which queues have runs that wait for keys, and whether dead letters are to be sent.
-- For the form of the state see the indexes of the model. Ordered as the index is: it is to be used for one row.
SELECT q.name
FROM unnest(%(queues)s::text[]) AS q (name)
WHERE (
    SELECT t.gate
    FROM tasks_taskrun AS t
    WHERE left(t.state, 16) = 'scheduled' AND t.gate <> '' AND t.queue = q.name
    ORDER BY t.gate
    LIMIT 1
) IS NOT NULL
UNION ALL
SELECT %(dead_letters)s::text
WHERE EXISTS (SELECT FROM tasks_taskrun WHERE dead_letter_due)
