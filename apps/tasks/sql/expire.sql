-- End runs that were not started in time.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
late AS (
    SELECT id
    FROM tasks_taskrun, moment
    WHERE state IN ('scheduled', 'queued') AND expires_at <= now
      AND (%(id)s::uuid IS NULL OR id = %(id)s::uuid)
    ORDER BY expires_at
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF tasks_taskrun SKIP LOCKED
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = 'cancelled', version = version + 1, finished_at = now, cancel_requested = true
    FROM late, moment
    WHERE t.id = late.id
    RETURNING t.id, t.version, t.gate, t.finished_at
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.cancelled', 2, '{"reason": "expired"}'::jsonb,
           %(meta)s::jsonb, finished_at
    FROM run
)
SELECT id, CASE WHEN gate <> '' THEN pg_notify('tasks_due', '') END FROM run
