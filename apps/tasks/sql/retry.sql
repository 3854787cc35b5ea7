-- Let runs that wait for a later time be due now. For the form of the state see the indexes of the model.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
target AS (
    SELECT id
    FROM tasks_taskrun, moment
    WHERE id = ANY(%(ids)s) AND left(state, 16) = 'scheduled' AND due_at > now
    ORDER BY id
    FOR NO KEY UPDATE OF tasks_taskrun
),
run AS (
    UPDATE tasks_taskrun AS t
    SET version = version + 1, due_at = now
    FROM target, moment
    WHERE t.id = target.id
    RETURNING t.id, state, version, due_at, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.rescheduled', 1, jsonb_build_object('due_at', due_at),
           %(meta)s::jsonb, now
    FROM run
)
SELECT id, state, pg_notify('tasks_due', '') FROM run
