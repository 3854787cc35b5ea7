-- Those of active sessions of which nothing was written for a while, and since when (seconds).
SELECT token, extract(epoch FROM clock_timestamp() - last_seen_at)::float8
FROM liveness_workersession
WHERE state = 'active' AND token = ANY(%(tokens)s::bigint[])
  AND last_seen_at < clock_timestamp() - %(every)s * interval '1 second'
