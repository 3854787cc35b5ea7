-- Take runs whose lease ran out from their workers, or one run that its worker itself has lost: back to
-- scheduled, or dead where no attempt is left, or cancelled where that was asked for.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
expired AS (
    SELECT id, cancel_requested, attempt < max_attempts AS again
    FROM tasks_taskrun, moment
    WHERE state = 'running'
      AND (%(id)s::uuid IS NULL AND lease_until < now
           OR id = %(id)s::uuid AND worker = %(worker)s AND (%(fence)s::bigint IS NULL OR fence = %(fence)s))
    ORDER BY lease_until
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF tasks_taskrun SKIP LOCKED
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = CASE WHEN e.cancel_requested THEN 'cancelled' WHEN e.again THEN 'scheduled' ELSE 'dead' END,
        version = version + CASE WHEN e.again AND NOT e.cancel_requested THEN 1 ELSE 2 END,
        due_at = CASE WHEN e.again AND NOT e.cancel_requested THEN now ELSE due_at END,
        finished_at = CASE WHEN e.again AND NOT e.cancel_requested THEN NULL ELSE now END,
        dead_letter_due = NOT e.again AND NOT e.cancel_requested,
        alert_due = NOT e.again AND NOT e.cancel_requested,
        lease_until = NULL,
        error = jsonb_build_object(
            'type', 'Orphaned',
            'message', coalesce(
                %(reason)s::text,
                'the lease of worker ' || t.worker || ' ran out at ' || t.lease_until
            ) || ' in attempt ' || t.attempt,
            'trace', ''
        )
    FROM expired AS e, moment
    WHERE t.id = e.id
    RETURNING t.id, t.task, t.state, t.version, t.attempt, t.worker, t.due_at, t.error, now
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT e.* FROM (
        SELECT 'task:' || id, CASE WHEN state = 'scheduled' THEN version ELSE version - 1 END AS version,
               'task.orphaned', 1,
               jsonb_build_object('attempt', attempt, 'worker', worker, 'error', error,
                                  'retry_at', CASE WHEN state = 'scheduled' THEN due_at END),
               %(meta)s::jsonb, now
        FROM run
        UNION ALL
        SELECT 'task:' || id, version,
               CASE state WHEN 'dead' THEN 'task.dead_lettered' ELSE 'task.cancelled' END,
               CASE state WHEN 'dead' THEN 1 ELSE 2 END,
               jsonb_build_object(
                   'reason', CASE state WHEN 'dead' THEN 'orphaned in its last attempt' ELSE 'request' END
               ),
               %(meta)s::jsonb, now
        FROM run
        WHERE state <> 'scheduled'
    ) AS e (stream, version, type, schema_version, data, meta, recorded_at)
    -- Followers meet them in this order.
    ORDER BY e.stream, e.version
)
SELECT id, task, state, worker, attempt, pg_notify('tasks_due', '') FROM run
