-- What has not ended, by queue and task, and since when the first of it waits (seconds).
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now)
SELECT queue, task,
       count(*) FILTER (WHERE state = 'scheduled') AS scheduled,
       count(*) FILTER (WHERE state = 'scheduled' AND due_at <= now) AS due,
       count(*) FILTER (WHERE state = 'queued') AS queued,
       count(*) FILTER (WHERE state = 'running') AS running,
       extract(epoch FROM max(now - due_at) FILTER (WHERE state = 'scheduled' AND due_at <= now))::float8,
       extract(epoch FROM max(now - published_at) FILTER (WHERE state = 'queued'))::float8,
       extract(epoch FROM max(now - started_at) FILTER (WHERE state = 'running'))::float8
FROM tasks_taskrun, moment
WHERE state IN ('scheduled', 'queued', 'running')
GROUP BY queue, task
ORDER BY queue, task
