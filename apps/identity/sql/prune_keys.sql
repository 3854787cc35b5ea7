-- Keys and logins that were over before a moment, the batch that is found first.
DELETE FROM identity_apikey WHERE id IN (
    SELECT id FROM identity_apikey
    WHERE least(revoked_at, expiry) < %(before)s
    LIMIT %(limit)s
)
