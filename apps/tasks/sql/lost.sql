-- Lock queued runs of a queue that is known to hold no message for them.
SELECT id, task, queue, group_key
FROM tasks_taskrun
WHERE state = 'queued' AND queue = %(queue)s AND published_at < %(before)s
ORDER BY published_at
LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
