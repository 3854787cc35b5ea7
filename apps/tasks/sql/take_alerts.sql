-- Take the runs that died and that operators were not told of, grouped by task and reason: the most first.
WITH told AS (
    UPDATE tasks_taskrun
    SET alert_due = false
    WHERE alert_due
    RETURNING id, task, queue, finished_at,
              left(coalesce(error ->> 'type', 'unknown') || ': ' || coalesce(error ->> 'message', ''), 500) AS reason
)
SELECT task, queue, reason, count(*), max(finished_at), (array_agg(id ORDER BY finished_at DESC, id DESC))[1]
FROM told
GROUP BY task, queue, reason
ORDER BY sum(count(*)) OVER (PARTITION BY task) DESC, task, count(*) DESC, reason
