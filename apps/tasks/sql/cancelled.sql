-- End a running run on request, if the caller is still its claimant.
WITH run AS (
    UPDATE tasks_taskrun
    SET state = 'cancelled', version = version + 1, finished_at = clock_timestamp(), lease_until = NULL
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
    RETURNING id, version, finished_at, gate
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.cancelled', 2, '{"reason": "request"}'::jsonb,
           %(meta)s::jsonb, finished_at
    FROM run
)
SELECT id, CASE WHEN gate <> '' THEN pg_notify('tasks_due', '') END FROM run
