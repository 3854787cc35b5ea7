-- Which queues have runs that wait for keys, and whether dead letters are to be sent.
-- For the form of the state see the indexes of the model.
SELECT q.name
FROM unnest(%(queues)s::text[]) AS q (name)
WHERE EXISTS (
    SELECT FROM tasks_taskrun AS t
    WHERE left(t.state, 16) = 'scheduled' AND t.gate <> '' AND t.queue = q.name
)
UNION ALL
SELECT %(dead_letters)s::text
WHERE EXISTS (SELECT FROM tasks_taskrun WHERE dead_letter_due)
