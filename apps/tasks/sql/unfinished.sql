-- Of some runs, those that ended without success and that something was to follow or a batch counts.
SELECT id, task, args, kwargs, state, error, meta, batch_id, continuation
FROM tasks_taskrun
WHERE id = ANY(%(ids)s) AND state IN ('dead', 'cancelled')
  AND (batch_id IS NOT NULL OR continuation IS NOT NULL)
ORDER BY seq
