-- Complete a batch, once: of several who find its runs ended, the first.
WITH counted AS MATERIALIZED (
    SELECT coalesce(jsonb_object_agg(state, n), '{}') AS counts, coalesce(sum(n), 0) AS n,
           coalesce(sum(n) FILTER (WHERE state IN ('scheduled', 'queued', 'running')), 0) AS active,
           coalesce(sum(n) FILTER (WHERE state IN ('dead', 'cancelled')), 0) AS failed
    FROM (SELECT state, count(*) AS n FROM tasks_taskrun WHERE batch_id = %(id)s GROUP BY state) AS by_state
),
batch AS (
    UPDATE tasks_batch
    SET state = 'completed', version = version + 1, completed_at = clock_timestamp(),
        counts = counted.counts, reason = ''
    FROM counted
    WHERE id = %(id)s AND state <> 'completed' AND total <= counted.n AND counted.active = 0
      AND (completes_when = 'ended' OR counted.failed = 0)
    RETURNING id, version, completed_at, tasks_batch.counts, callback, members, meta
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'batch:' || id, version, 'batch.completed', 1, jsonb_build_object('counts', counts),
           %(meta)s::jsonb, completed_at
    FROM batch
)
SELECT counts, callback, members, meta FROM batch
