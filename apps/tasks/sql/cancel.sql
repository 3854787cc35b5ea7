-- Cancel runs: at once where they have not started, by a flag where they are running.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
target AS (
    -- Locked in one order, so that two who act on the same runs cannot deadlock.
    SELECT id
    FROM tasks_taskrun
    WHERE id = ANY(%(ids)s) AND (state IN ('scheduled', 'queued') OR state = 'running' AND NOT cancel_requested)
    ORDER BY id
    FOR NO KEY UPDATE
),
run AS (
    UPDATE tasks_taskrun AS t
    SET version = version + 1,
        cancel_requested = true,
        state = CASE WHEN state = 'running' THEN 'running' ELSE 'cancelled' END,
        finished_at = CASE WHEN state = 'running' THEN finished_at ELSE now END
    FROM target, moment
    WHERE t.id = target.id
    RETURNING t.id, state, version, gate, batch_id, continuation, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version,
           CASE state WHEN 'running' THEN 'task.cancel_requested' ELSE 'task.cancelled' END,
           CASE state WHEN 'running' THEN 1 ELSE 2 END,
           CASE state WHEN 'running' THEN '{}'::jsonb ELSE '{"reason": "request"}'::jsonb END,
           %(meta)s::jsonb, now
    FROM run
)
SELECT id, state, batch_id IS NOT NULL OR continuation IS NOT NULL,
       CASE WHEN state = 'running' THEN pg_notify('tasks_cancel', id::text)
            WHEN gate <> '' THEN pg_notify('tasks_due', '') END
FROM run
