-- Send ended runs on their way again, with fresh attempts.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
target AS (
    SELECT id
    FROM tasks_taskrun
    WHERE id = ANY(%(ids)s) AND state IN ('dead', 'cancelled')
    ORDER BY id
    FOR NO KEY UPDATE
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = 'scheduled', version = version + 1, attempt = 0, due_at = now, finished_at = NULL,
        cancel_requested = false, needs_review = false, dead_letter_due = false, alert_due = false
    FROM target, moment
    WHERE t.id = target.id
    RETURNING t.id, state, version, due_at, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.redriven', 1, jsonb_build_object('due_at', due_at),
           %(meta)s::jsonb, now
    FROM run
)
SELECT id, state, pg_notify('tasks_due', '') FROM run
