-- Request a run: the row and its first event, or nothing when the id or an active unique key is taken.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
run AS (
    INSERT INTO tasks_taskrun (
        id, task, queue, state, version, args, kwargs, priority, group_key, unique_key, attempt,
        max_attempts, fence, requested_at, due_at, worker, cancel_requested, meta, dead_letter_due
    )
    SELECT %(id)s, %(task)s, %(queue)s, 'scheduled', 1, %(args)s::jsonb, %(kwargs)s::jsonb, %(priority)s,
           %(group_key)s, %(unique_key)s::text, 0, %(max_attempts)s, 0, now,
           coalesce(%(run_at)s::timestamptz, now + %(countdown)s * interval '1 second'),
           '', false, %(meta)s::jsonb, false
    FROM moment
    ON CONFLICT DO NOTHING
    RETURNING *
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, 1, 'task.requested', 1,
           jsonb_build_object(
               'task', task, 'queue', queue, 'args', args, 'kwargs', kwargs, 'due_at', due_at,
               'max_attempts', max_attempts, 'priority', priority, 'group_key', group_key,
               'unique_key', unique_key
           ),
           meta, requested_at
    FROM run
)
-- Delivered by PostgreSQL when the caller's transaction commits, and only then.
SELECT id, pg_notify('tasks_due', '') FROM run
