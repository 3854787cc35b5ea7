-- Claim a run whose keys are locked by the caller, if each of them lets it through; else say which does not.
-- For the form of the state see the indexes of the model.
WITH locked AS MATERIALIZED (
    SELECT id, order_key, seq, concurrency_key, concurrency_limit,
           rate_key, rate_limit, rate_period, rate_cost, due_at, expires_at
    FROM tasks_taskrun
    WHERE id = %(id)s AND state IN ('scheduled', 'queued')
    FOR NO KEY UPDATE
),
-- The moment is the one after the row was waited for.
moment AS MATERIALIZED (SELECT locked.*, clock_timestamp() AS now FROM locked),
candidate AS (
    SELECT * FROM moment WHERE due_at <= now AND (expires_at IS NULL OR expires_at > now)
),
-- The newest hit that must fall out of the period before there is room.
spent AS (
    SELECT max(h.at) FILTER (WHERE h.spent > h.rate_limit - h.rate_cost) AS until_after
    FROM (
        SELECT r.at, c.rate_limit, c.rate_cost, sum(r.cost) OVER (ORDER BY r.at DESC, r.id DESC) AS spent
        FROM candidate AS c
        JOIN tasks_ratehit AS r
          ON r.key = c.rate_key AND r.at > c.now - c.rate_period * interval '1 second'
        WHERE c.rate_key <> ''
    ) AS h
),
verdict AS (
    SELECT c.*, s.until_after + c.rate_period * interval '1 second' AS rate_free_at,
        CASE
            WHEN c.order_key <> '' AND (EXISTS (
                SELECT FROM tasks_taskrun AS o
                WHERE o.order_key = c.order_key AND o.order_key <> '' AND o.id <> c.id
                  AND left(o.state, 16) = 'running'
            ) OR EXISTS (
                SELECT FROM tasks_taskrun AS o
                WHERE o.order_key = c.order_key AND o.order_key <> '' AND o.seq < c.seq
                  AND left(o.state, 16) IN ('scheduled', 'queued', 'running')
                  AND (
                      left(o.state, 16) = 'queued' OR o.published_at IS NOT NULL OR o.started_at IS NOT NULL
                      OR o.due_at <= c.now
                  )
            )) THEN 'order'
            WHEN c.concurrency_key <> '' AND c.concurrency_limit <= (
                SELECT count(*) FROM tasks_taskrun AS o
                WHERE o.concurrency_key = c.concurrency_key AND o.concurrency_key <> ''
                  AND left(o.state, 16) = 'running'
            ) THEN 'concurrency'
            WHEN s.until_after IS NOT NULL THEN 'rate'
        END AS closed
    FROM candidate AS c, spent AS s
),
hit AS (
    INSERT INTO tasks_ratehit (key, at, cost, expires_at)
    SELECT rate_key, now, rate_cost, now + rate_period * interval '1 second'
    FROM verdict
    WHERE closed IS NULL AND rate_key <> ''
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = 'running', version = t.version + 1, attempt = t.attempt + 1, fence = t.fence + 1,
        started_at = v.now, lease_until = v.now + %(lease)s * interval '1 second',
        worker = %(worker)s, repeatable = %(repeatable)s, progress = NULL
    FROM verdict AS v
    WHERE t.id = v.id AND v.closed IS NULL
    RETURNING t.*
),
-- A message for a run that may not start yet is used up: the relay sends another when the gate opens.
deferred AS (
    UPDATE tasks_taskrun AS t
    SET state = 'scheduled', version = t.version + 1,
        due_at = CASE v.closed WHEN 'rate' THEN v.rate_free_at ELSE t.due_at END
    FROM verdict AS v
    WHERE t.id = v.id AND v.closed IS NOT NULL AND left(t.state, 16) = 'queued'
    RETURNING t.id, t.version, t.due_at, t.meta, v.closed, v.now
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
    UNION ALL
    SELECT 'task:' || id, version, 'task.deferred', 1,
           jsonb_build_object('reason', closed, 'due_at', due_at),
           jsonb_strip_nulls(jsonb_build_object('correlation_id', meta -> 'correlation_id',
                                                'traceparent', meta -> 'traceparent')) || %(meta)s::jsonb,
           now
    FROM deferred
)
SELECT id, task, args, kwargs, args_version, attempt, max_attempts, fence, meta, backoff, batch_id,
       continuation, queue, extract(epoch FROM started_at - due_at)::float8 AS waited
FROM run
