-- Lock the runs of a queue that are due and whose keys let them through now, from a number of gates after a
-- given one. Each gate costs an index probe however many runs wait behind it. What is queued counts as if it
-- ran: it will. For the form of the state see the indexes of the model.
WITH RECURSIVE gates AS (
    (
        SELECT gate, 1 AS number
        FROM tasks_taskrun
        WHERE left(state, 16) = 'scheduled' AND gate <> '' AND queue = %(queue)s AND gate > %(after)s
        ORDER BY gate
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT t.gate
        FROM tasks_taskrun AS t
        WHERE left(t.state, 16) = 'scheduled' AND t.gate <> '' AND t.queue = %(queue)s AND t.gate > g.gate
        ORDER BY t.gate
        LIMIT 1
    ), g.number + 1
    FROM gates AS g
    WHERE g.gate IS NOT NULL AND g.number < %(gates)s
),
moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
candidate AS MATERIALIZED (
    SELECT c.*, moment.now
    FROM moment, gates AS g
    CROSS JOIN LATERAL (
        SELECT id, seq, priority, order_key, concurrency_key, concurrency_limit, rate_key, rate_limit,
               rate_period, rate_cost
        FROM tasks_taskrun
        WHERE left(state, 16) = 'scheduled' AND gate <> '' AND queue = %(queue)s AND gate = g.gate
          AND due_at <= clock_timestamp() AND (expires_at IS NULL OR expires_at > clock_timestamp())
        ORDER BY priority DESC, seq
        LIMIT %(each)s
    ) AS c
    WHERE g.gate IS NOT NULL
),
heads AS (
    SELECT c.*
    FROM candidate AS c
    WHERE c.order_key = '' OR NOT EXISTS (
        SELECT FROM tasks_taskrun AS o
        WHERE o.order_key = c.order_key AND o.order_key <> '' AND o.id <> c.id
          AND left(o.state, 16) IN ('queued', 'running')
    ) AND NOT EXISTS (
        SELECT FROM tasks_taskrun AS o
        WHERE o.order_key = c.order_key AND o.order_key <> '' AND o.seq < c.seq
          AND left(o.state, 16) IN ('scheduled', 'queued', 'running')
          AND (o.published_at IS NOT NULL OR o.started_at IS NOT NULL OR o.due_at <= c.now)
    )
),
numbered AS (
    SELECT h.*,
        row_number() OVER (PARTITION BY h.concurrency_key ORDER BY h.priority DESC, h.seq) AS place,
        sum(h.rate_cost) OVER (PARTITION BY h.rate_key ORDER BY h.priority DESC, h.seq) AS cost
    FROM heads AS h
),
open AS (
    SELECT n.id
    FROM numbered AS n
    WHERE (n.concurrency_key = '' OR n.place <= n.concurrency_limit - (
            SELECT count(*) FROM tasks_taskrun AS o
            WHERE o.concurrency_key = n.concurrency_key AND o.concurrency_key <> ''
              AND left(o.state, 16) IN ('queued', 'running')))
      AND (n.rate_key = '' OR n.cost <= n.rate_limit - (
            SELECT coalesce(sum(r.cost), 0) FROM tasks_ratehit AS r
            WHERE r.key = n.rate_key AND r.at > n.now - n.rate_period * interval '1 second'
          ) - (
            SELECT coalesce(sum(o.rate_cost), 0) FROM tasks_taskrun AS o
            WHERE o.rate_key = n.rate_key AND o.rate_key <> '' AND left(o.state, 16) = 'queued'))
    ORDER BY n.priority DESC, n.seq
    LIMIT %(limit)s
),
locked AS (
    SELECT t.id, t.task, t.queue, t.group_key, t.version,
           extract(epoch FROM clock_timestamp() - t.due_at)::float8 AS lag
    FROM tasks_taskrun AS t
    JOIN open USING (id)
    WHERE left(t.state, 16) = 'scheduled'
    ORDER BY t.priority DESC, t.seq
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
SELECT l.id, l.task, l.queue, l.group_key, l.version, l.lag, g.last, g.more
FROM (
    SELECT max(gate) AS last, count(gate) >= %(gates)s AS more FROM gates
) AS g
LEFT JOIN locked AS l ON true
