-- Lock the runs of a queue that are due, in order of publishing; what another relay holds is its business.
-- For the form of the state see the indexes of the model.
SELECT id, task, queue, group_key, version, extract(epoch FROM clock_timestamp() - due_at)::float8 AS lag
FROM tasks_taskrun
WHERE left(state, 16) = 'scheduled' AND gate = '' AND queue = %(queue)s AND due_at <= clock_timestamp()
  AND (expires_at IS NULL OR expires_at > clock_timestamp())
ORDER BY priority DESC, due_at
LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
