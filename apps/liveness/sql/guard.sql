-- Whether a session is active; it stays so until the end of the transaction. Guarded writes do not wait for each
-- other, and whoever ends the session waits for them or comes again.
SELECT id
FROM liveness_workersession
WHERE token = %(token)s AND user_id = %(user)s AND state = 'active'
FOR SHARE
