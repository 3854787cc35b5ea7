-- End an attempt that failed: back to scheduled, or dead where no attempt is left or may be made,
-- or cancelled where that was asked for meanwhile.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
claim AS (
    SELECT id, cancel_requested, (%(retry)s AND attempt < max_attempts) AS again
    FROM tasks_taskrun
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
    FOR NO KEY UPDATE
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = CASE WHEN c.cancel_requested THEN 'cancelled' WHEN c.again THEN 'scheduled' ELSE 'dead' END,
        version = version + CASE WHEN c.again AND NOT c.cancel_requested THEN 1 ELSE 2 END,
        due_at = CASE WHEN c.again AND NOT c.cancel_requested
                      THEN now + %(delay)s * interval '1 second' ELSE due_at END,
        finished_at = CASE WHEN c.again AND NOT c.cancel_requested THEN NULL ELSE now END,
        dead_letter_due = NOT c.again AND NOT c.cancel_requested,
        alert_due = NOT c.again AND NOT c.cancel_requested,
        lease_until = NULL,
        error = %(error)s::jsonb
    FROM claim AS c, moment
    WHERE t.id = c.id
    RETURNING t.id, t.state, t.version, t.attempt, t.due_at, t.error, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT e.* FROM (
        SELECT 'task:' || id, CASE WHEN state = 'scheduled' THEN version ELSE version - 1 END AS version,
               'task.attempt_failed', 1,
               jsonb_build_object('attempt', attempt, 'error', error,
                                  'retry_at', CASE WHEN state = 'scheduled' THEN due_at END),
               %(meta)s::jsonb, now
        FROM run
        UNION ALL
        SELECT 'task:' || id, version,
               CASE state WHEN 'dead' THEN 'task.dead_lettered' ELSE 'task.cancelled' END,
               CASE state WHEN 'dead' THEN 1 ELSE 2 END,
               jsonb_build_object('reason', CASE state WHEN 'dead' THEN %(reason)s::text ELSE 'request' END),
               %(meta)s::jsonb, now
        FROM run
        WHERE state <> 'scheduled'
    ) AS e (stream, version, type, schema_version, data, meta, recorded_at)
    -- Followers meet them in this order.
    ORDER BY e.stream, e.version
)
-- The relay reckons anew when the next run is due, or has a dead letter to send.
SELECT state, due_at, pg_notify('tasks_due', '') FROM run
