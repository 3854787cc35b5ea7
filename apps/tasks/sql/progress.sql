-- Store progress, and learn whether the run was cancelled or taken away.
UPDATE tasks_taskrun
SET progress = %(progress)s::jsonb
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING cancel_requested
