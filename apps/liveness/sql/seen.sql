-- Write down when Redis has last heard of workers, where that was not written for a while.
UPDATE liveness_workersession AS session
SET last_seen_at = clock_timestamp() - heard.age * interval '1 second'
FROM (
    SELECT s.id, asked.age
    FROM unnest(%(tokens)s::bigint[], %(ages)s::float8[]) AS asked (token, age)
    JOIN liveness_workersession AS s USING (token)
    WHERE s.state = 'active'
      AND s.last_seen_at < clock_timestamp() - (asked.age + %(every)s) * interval '1 second'
    ORDER BY s.id
    FOR NO KEY UPDATE OF s SKIP LOCKED
) AS heard
WHERE session.id = heard.id
