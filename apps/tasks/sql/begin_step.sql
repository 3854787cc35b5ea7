-- Begin a step, if the caller is still the run's claimant, or find how it stands. No row: the run is not its own.
WITH claim AS (
    SELECT id FROM tasks_taskrun WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
),
before AS (
    SELECT finished_at, result FROM tasks_step WHERE run_id = %(id)s AND name = %(name)s
),
step AS (
    INSERT INTO tasks_step (run_id, name, started_at)
    SELECT id, %(name)s, clock_timestamp() FROM claim
    ON CONFLICT (run_id, name) DO NOTHING
    RETURNING run_id
)
SELECT EXISTS (SELECT FROM step) AS first, before.finished_at IS NOT NULL AS finished, before.result
FROM claim
LEFT JOIN before ON true
