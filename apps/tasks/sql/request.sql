-- Request runs: a row and its first event each, in the order given. Nothing for a run whose id or whose
-- unique key is taken.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
asked AS (
    SELECT r.*
    FROM ROWS FROM (
        jsonb_to_recordset(%(runs)s::jsonb) AS (
            id uuid, task text, queue text, args jsonb, kwargs jsonb, args_version smallint,
            max_attempts integer, backoff jsonb, run_at timestamptz, countdown float8,
            expires_at timestamptz, expires_in float8, priority smallint, group_key text,
            unique_key text, unique_while_active boolean,
            order_key text, concurrency_key text, concurrency_limit integer,
            rate_key text, rate_limit integer, rate_period float8, rate_cost integer, gate text,
            batch_id uuid, batch_index integer, continuation jsonb
        )
    ) WITH ORDINALITY AS r
    ORDER BY r.ordinality
),
run AS (
    INSERT INTO tasks_taskrun (
        id, task, queue, state, version, args, kwargs, args_version, priority, group_key, unique_key,
        unique_while_active, seq, backoff, expires_at, order_key, concurrency_key, concurrency_limit,
        rate_key, rate_limit, rate_period, rate_cost, gate, batch_id, batch_index, continuation,
        attempt, max_attempts, fence, requested_at, due_at, worker, cancel_requested, meta,
        dead_letter_due, alert_due
    )
    SELECT id, task, queue, 'scheduled', 1, args, kwargs, args_version, priority, group_key, unique_key,
           unique_while_active, nextval('tasks_taskrun_seq'), nullif(backoff, 'null'),
           coalesce(expires_at, now + expires_in * interval '1 second'),
           order_key, concurrency_key, concurrency_limit, rate_key, rate_limit, rate_period, rate_cost, gate,
           batch_id, batch_index, nullif(continuation, 'null'),
           0, max_attempts, 0, now, coalesce(run_at, now + countdown * interval '1 second'), '', false,
           %(meta)s::jsonb, false, false
    FROM asked, moment
    ON CONFLICT DO NOTHING
    RETURNING *
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, 1, 'task.requested', 2,
           jsonb_build_object(
               'task', task, 'queue', queue, 'args', args, 'kwargs', kwargs, 'args_version', args_version,
               'due_at', due_at, 'max_attempts', max_attempts, 'backoff', backoff, 'expires_at', expires_at,
               'priority', priority, 'group_key', group_key, 'unique_key', unique_key,
               'unique_while_active', unique_while_active, 'seq', seq, 'order_key', order_key,
               'concurrency_key', concurrency_key, 'concurrency_limit', concurrency_limit,
               'rate_key', rate_key, 'rate_limit', rate_limit, 'rate_period', rate_period,
               'rate_cost', rate_cost, 'batch_id', batch_id, 'batch_index', batch_index,
               'continuation', continuation
           ),
           meta, requested_at
    FROM run
)
-- Delivered by PostgreSQL when the caller's transaction commits, and only then.
SELECT id, pg_notify('tasks_due', '') FROM run
