-- A network that a user signed in from, and when; written at most once an hour.
INSERT INTO identity_knownplace AS known (user_id, network, last_at)
VALUES (%(user)s, %(network)s, now())
ON CONFLICT (user_id, network) DO UPDATE SET last_at = now()
WHERE known.last_at < now() - interval '1 hour'
