-- Lock the runs of a queue that are due, in order of publishing; what another relay holds is its business.
SELECT id, task, queue, group_key
FROM tasks_taskrun
WHERE state = 'scheduled' AND queue = %(queue)s AND due_at <= clock_timestamp()
ORDER BY priority DESC, due_at
LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
