-- Put entries, in the order given. Nothing for an entry whose id is in the outbox already.
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
entry AS (
    INSERT INTO tasks_entry (id, task, payload, requested_at, meta)
    -- A microsecond apart: the order is the order of their times.
    SELECT e.id, %(task)s, e.payload::jsonb, now + e.place * interval '1 microsecond', %(meta)s::jsonb
    FROM moment, unnest(%(ids)s::uuid[], %(payloads)s::text[]) WITH ORDINALITY AS e (id, payload, place)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
-- Delivered when the caller's transaction commits. Commits that notify wait for each other, so only the first
-- of several entries that wait wakes the relay; the rest are collected with it, or at the next look.
SELECT pg_notify('tasks_entries', %(task)s)
WHERE EXISTS (SELECT FROM entry) AND NOT EXISTS (
    SELECT FROM tasks_entry AS e
    WHERE e.task = %(task)s AND e.run_id IS NULL
      -- A stable function, so that the index finds them.
      AND e.requested_at > statement_timestamp() - interval '2 seconds'
)
