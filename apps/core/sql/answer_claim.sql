-- One row for each key of each principal. Whoever comes second waits here for the end of the first one's
-- transaction, as long as lock_timeout allows, and is told nothing then.
INSERT INTO core_keptanswer (id, principal, key, address, body_hash, headers, body, sealed_body)
VALUES (%(id)s, %(principal)s, %(key)s, %(address)s, %(body_hash)s, '{}', '', '')
ON CONFLICT (principal, key) DO NOTHING
RETURNING id
