-- Renew the leases of runs that this worker still holds.
UPDATE tasks_taskrun
SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE id = ANY(%(ids)s) AND worker = %(worker)s AND state = 'running'
