-- Keep the answer to a key. Nothing where somebody else's answer to it is there.
INSERT INTO webhooks_receipt (endpoint_id, key, digest, status, answer, order_id, created_at)
VALUES (%(endpoint)s, %(key)s, %(digest)s, %(status)s, %(answer)s::jsonb, %(order)s, clock_timestamp())
ON CONFLICT DO NOTHING
RETURNING 1
