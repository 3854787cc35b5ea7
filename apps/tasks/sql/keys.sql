-- What a run that could not be claimed waits for, and whether it can be claimed at all.
SELECT order_key, concurrency_key, rate_key,
       state IN ('scheduled', 'queued') AND due_at <= clock_timestamp() AS claimable,
       state IN ('scheduled', 'queued') AND expires_at <= clock_timestamp() AS expired
FROM tasks_taskrun
WHERE id = %(id)s
