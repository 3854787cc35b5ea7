-- Write down when Redis has last heard of workers. One that somebody is busy with is left for the next look.
UPDATE liveness_workersession AS session
SET last_seen_at = clock_timestamp() - heard.age * interval '1 second'
FROM (
    SELECT s.id, asked.age
    FROM unnest(%(tokens)s::bigint[], %(ages)s::float8[]) AS asked (token, age)
    JOIN liveness_workersession AS s USING (token)
    WHERE s.state = 'active'
    ORDER BY s.id
    FOR NO KEY UPDATE OF s SKIP LOCKED
) AS heard
WHERE session.id = heard.id
