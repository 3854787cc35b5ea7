-- How many orders have not ended, and how many have and are not verified; and since when the oldest.
-- Both are found by partial indexes, whose conditions these are.
SELECT state, count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float8
FROM orders_order
WHERE state NOT IN ('filled', 'cancelled', 'rejected', 'expired')
GROUP BY state
UNION ALL
SELECT 'unverified', count(*), extract(epoch FROM clock_timestamp() - min(ended_at))::float8
FROM orders_order
WHERE state IN ('filled', 'cancelled', 'expired') AND submission_started_at IS NOT NULL AND verified_at IS NULL
