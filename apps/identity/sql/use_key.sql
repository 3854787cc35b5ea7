-- That a key is used, unless that was written within the last minute, or another request holds the row, which it
-- may do until it is answered: nobody waits for that.
UPDATE identity_apikey SET last_used_at = %(now)s, last_used_address = %(address)s
WHERE id IN (
    SELECT id FROM identity_apikey
    WHERE id = %(key)s AND (last_used_at IS NULL OR last_used_at < %(due)s)
    FOR NO KEY UPDATE SKIP LOCKED
)
