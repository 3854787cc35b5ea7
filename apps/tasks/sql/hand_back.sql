-- Give runs back that a worker holds: scheduled again, and the attempt does not count; or cancelled where that
-- was asked for. Without a fence, every attempt of that worker; with one, only that attempt.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
run AS (
    UPDATE tasks_taskrun
    SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'scheduled' END,
        version = version + CASE WHEN cancel_requested THEN 2 ELSE 1 END,
        attempt = attempt - 1, lease_until = NULL, progress = NULL,
        due_at = now + %(delay)s * interval '1 second',
        finished_at = CASE WHEN cancel_requested THEN now END
    FROM moment
    WHERE id = ANY(%(ids)s) AND worker = %(worker)s AND state = 'running'
      AND (%(fence)s::bigint IS NULL OR fence = %(fence)s::bigint)
    RETURNING id, state, version, attempt + 1 AS attempt, worker, due_at, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT e.* FROM (
        SELECT 'task:' || id, CASE WHEN state = 'scheduled' THEN version ELSE version - 1 END AS version,
               'task.handed_back', 1,
               jsonb_build_object('attempt', attempt, 'worker', worker,
                                  'reason', %(reason)s::text, 'due_at', due_at),
               %(meta)s::jsonb, now
        FROM run
        UNION ALL
        SELECT 'task:' || id, version, 'task.cancelled', 2, '{"reason": "request"}'::jsonb, %(meta)s::jsonb, now
        FROM run
        WHERE state = 'cancelled'
    ) AS e (stream, version, type, schema_version, data, meta, recorded_at)
    -- Followers meet them in this order.
    ORDER BY e.stream, e.version
)
SELECT id, pg_notify('tasks_due', '') FROM run
