-- Put one entry: like put_many.sql, with less to plan.
WITH entry AS (
    INSERT INTO tasks_entry (id, task, payload, requested_at, meta)
    VALUES (%(id)s, %(task)s, %(payload)s::jsonb, clock_timestamp(), %(meta)s::jsonb)
    ON CONFLICT (id) DO NOTHING
    RETURNING task
)
SELECT pg_notify('tasks_entries', task)
FROM entry
WHERE NOT EXISTS (
    SELECT FROM tasks_entry AS e
    WHERE e.task = %(task)s AND e.run_id IS NULL
      AND e.requested_at > statement_timestamp() - interval '2 seconds'
)
