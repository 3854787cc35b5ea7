-- The runs that a worker holds.
SELECT id, fence, cancel_requested, repeatable
FROM tasks_taskrun
WHERE state = 'running' AND worker = %(worker)s
