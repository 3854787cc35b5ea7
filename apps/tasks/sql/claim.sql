-- Claim a run that is due and that no key holds back. No row: a duplicate, an ended run, one whose next
-- attempt is not due, one that expired, or one with a gate (claim_gated.sql).
WITH run AS (
    UPDATE tasks_taskrun
    SET state = 'running', version = version + 1, attempt = attempt + 1, fence = fence + 1,
        -- The clock is read after the row, which may have had to be waited for.
        started_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s * interval '1 second',
        worker = %(worker)s, repeatable = %(repeatable)s, progress = NULL
    WHERE id = %(id)s AND state IN ('scheduled', 'queued') AND due_at <= clock_timestamp() AND gate = ''
      AND (expires_at IS NULL OR expires_at > clock_timestamp())
    RETURNING *
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.started', 2,
           jsonb_build_object('attempt', attempt, 'fence', fence, 'worker', worker,
                              'repeatable', repeatable),
           -- What follows from one request shares its ids.
           jsonb_strip_nulls(jsonb_build_object('correlation_id', meta -> 'correlation_id',
                                                'traceparent', meta -> 'traceparent')) || %(meta)s::jsonb,
           started_at
    FROM run
)
SELECT id, task, args, kwargs, args_version, attempt, max_attempts, fence, meta, backoff, batch_id,
       continuation, queue, extract(epoch FROM started_at - due_at)::float8 AS waited
FROM run
