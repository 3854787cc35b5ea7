-- Running runs whose leases ran out so long ago, the first ones first.
SELECT id, fence
FROM tasks_taskrun
WHERE state = 'running' AND lease_until < statement_timestamp() - %(ago)s * interval '1 second'
ORDER BY lease_until
LIMIT %(limit)s
