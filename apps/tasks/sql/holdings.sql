-- The runs that a worker holds.
SELECT id, fence, cancel_requested
FROM tasks_taskrun
WHERE state = 'running' AND worker = %(worker)s
