-- Orders for which something has to be done, and no run that does it. The condition on orders is that of the
-- index orders_order_unsettled; the keys are those of requesting.py and looks.py.
WITH unsettled AS (
    SELECT id, state, release_before IS NOT NULL AS waits, looks,
           cancel_requested AND state IN ('submitted', 'partially_filled') AS to_cancel
    FROM orders_order
    WHERE state IN ('accepted', 'submitted', 'partially_filled', 'unknown')
       OR (state IN ('filled', 'cancelled', 'expired') AND submission_started_at IS NOT NULL
           AND verified_at IS NULL)
),
needed AS (
    SELECT id,
           CASE
               WHEN state = 'accepted' AND waits THEN 'abort:' || id
               WHEN state = 'accepted' THEN 'submit:' || id
               ELSE 'verify:' || id || ':' || (looks + 1)
           END AS key
    FROM unsettled
    UNION ALL
    SELECT id, 'cancel:' || id FROM unsettled WHERE to_cancel
)
SELECT DISTINCT id
FROM needed
WHERE NOT EXISTS (
    SELECT FROM tasks_taskrun AS r
    WHERE r.unique_key = needed.key AND r.unique_while_active AND r.state IN ('scheduled', 'queued', 'running')
)
LIMIT %(limit)s
