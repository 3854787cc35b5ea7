-- Finish a run, if the caller is still its claimant.
WITH run AS (
    UPDATE tasks_taskrun
    SET state = 'succeeded', version = version + 1, finished_at = clock_timestamp(), lease_until = NULL,
        result = %(result)s::jsonb, error = NULL
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
    RETURNING id, version, attempt, result, finished_at, gate
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.succeeded', 1,
           jsonb_build_object('attempt', attempt, 'result', result), %(meta)s::jsonb, finished_at
    FROM run
)
-- Another run may be waiting for this one's keys.
SELECT id, CASE WHEN gate <> '' THEN pg_notify('tasks_due', '') END FROM run
