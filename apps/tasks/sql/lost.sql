-- Lock queued runs of a queue that is known to hold no message for them.
SELECT id, task, queue, group_key, version,
       extract(epoch FROM clock_timestamp() - published_at)::float8 AS lag
FROM tasks_taskrun
WHERE state = 'queued' AND queue = %(queue)s AND published_at < %(before)s
ORDER BY published_at
LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
