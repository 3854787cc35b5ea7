-- Take runs from their workers: back to scheduled, or dead where no attempt is left or none may follow, or
-- cancelled where that was asked for. With a fence, only the claim of that; with a worker, only if it holds the
-- run; and unless forced, only where the lease has run out.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
asked AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) AS a (id, fence)
),
expired AS (
    SELECT t.id, t.cancel_requested, t.attempt < t.max_attempts AND t.repeatable AS again
    FROM asked AS a
    JOIN tasks_taskrun AS t ON t.id = a.id, moment
    WHERE t.state = 'running'
      AND (a.fence IS NULL OR t.fence = a.fence)
      AND (%(worker)s::text = '' OR t.worker = %(worker)s)
      AND (%(forced)s OR t.lease_until < now)
    ORDER BY t.id
    FOR NO KEY UPDATE OF t SKIP LOCKED
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = CASE WHEN e.cancel_requested THEN 'cancelled' WHEN e.again THEN 'scheduled' ELSE 'dead' END,
        version = version + CASE WHEN e.again AND NOT e.cancel_requested THEN 1 ELSE 2 END,
        due_at = CASE WHEN e.again AND NOT e.cancel_requested THEN now ELSE due_at END,
        finished_at = CASE WHEN e.again AND NOT e.cancel_requested THEN NULL ELSE now END,
        dead_letter_due = NOT e.again AND NOT e.cancel_requested,
        alert_due = NOT e.again AND NOT e.cancel_requested,
        needs_review = NOT t.repeatable AND NOT e.cancel_requested,
        lease_until = NULL,
        error = jsonb_build_object(
            'type', 'Orphaned',
            'message', coalesce(
                %(reason)s::text,
                'the lease of worker ' || t.worker || ' has run out'
            ) || ' in attempt ' || t.attempt,
            'trace', ''
        )
    FROM expired AS e, moment
    WHERE t.id = e.id
    RETURNING t.id, t.task, t.state, t.version, t.attempt, t.worker, t.due_at, t.error, t.needs_review, now
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
               CASE WHEN state <> 'dead' THEN '{"reason": "request"}'::jsonb
                    WHEN needs_review THEN jsonb_build_object(
                        'reason', 'orphaned, and it must not be repeated unseen', 'needs_review', true)
                    ELSE '{"reason": "orphaned in its last attempt"}'::jsonb
               END,
               %(meta)s::jsonb, now
        FROM run
        WHERE state <> 'scheduled'
    ) AS e (stream, version, type, schema_version, data, meta, recorded_at)
    -- Followers meet them in this order.
    ORDER BY e.stream, e.version
)
SELECT id, task, state, worker, attempt, pg_notify('tasks_due', '') FROM run
