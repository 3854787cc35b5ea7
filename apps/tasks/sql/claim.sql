-- Claim a run that is due. No row: a duplicate, an ended run, or one whose next attempt is not due.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
run AS (
    UPDATE tasks_taskrun
    SET state = 'running', version = version + 1, attempt = attempt + 1, fence = fence + 1,
        started_at = now, lease_until = now + %(lease)s * interval '1 second',
        worker = %(worker)s, progress = NULL
    FROM moment
    WHERE id = %(id)s AND state IN ('scheduled', 'queued') AND due_at <= now
    RETURNING tasks_taskrun.*
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.started', 1,
           jsonb_build_object('attempt', attempt, 'fence', fence, 'worker', worker),
           %(meta)s::jsonb, started_at
    FROM run
)
SELECT id, task, args, kwargs, attempt, max_attempts, fence, meta FROM run
