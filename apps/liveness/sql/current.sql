-- The tokens of users' active sessions.
SELECT user_id, token
FROM liveness_workersession
WHERE state = 'active' AND user_id = ANY(%(users)s::bigint[])
