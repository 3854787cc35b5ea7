-- Write a process's row, and add what it has done since its last report to the counts of all.
WITH before AS (
    SELECT counts FROM tasks_process WHERE id = %(id)s
),
saved AS (
    INSERT INTO tasks_process (
        id, kind, name, host, pid, version, queues, concurrency, started_at, seen_at, ended_at, counts, facts,
        token
    )
    VALUES (
        %(id)s, %(kind)s, %(name)s, %(host)s, %(pid)s, %(version)s, %(queues)s::jsonb, %(concurrency)s,
        clock_timestamp(), clock_timestamp(), CASE WHEN %(ended)s THEN clock_timestamp() END,
        %(counts)s::jsonb, %(facts)s::jsonb, %(token)s
    )
    ON CONFLICT (id) DO UPDATE
    SET seen_at = EXCLUDED.seen_at, ended_at = EXCLUDED.ended_at, counts = EXCLUDED.counts,
        facts = EXCLUDED.facts, queues = EXCLUDED.queues, concurrency = EXCLUDED.concurrency,
        -- It was taken for dead, and is not; unless that was somebody's decision.
        lost_at = CASE WHEN tasks_process.condemned THEN tasks_process.lost_at END,
        reason = CASE WHEN tasks_process.condemned THEN tasks_process.reason ELSE '' END,
        token = EXCLUDED.token
    RETURNING condemned, reason
),
added AS (
    SELECT now.key AS name, now.value::bigint - coalesce((before.counts ->> now.key)::bigint, 0) AS count
    FROM jsonb_each_text(%(counts)s::jsonb) AS now
    LEFT JOIN before ON true
),
counted AS (
    INSERT INTO tasks_usagecount (kind, name, at, count)
    SELECT %(kind)s, name, date_trunc('minute', clock_timestamp()), count
    FROM added
    WHERE count > 0
    -- Every process takes the locks in the same order.
    ORDER BY name
    ON CONFLICT (at, kind, name) DO UPDATE SET count = tasks_usagecount.count + EXCLUDED.count
)
SELECT condemned, reason FROM saved
