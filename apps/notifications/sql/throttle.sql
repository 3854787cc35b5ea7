-- Begin the time of one recipient, kind and key with this mail, unless it has begun and is not over. One that
-- lies ahead by as much as it lasts was begun by a clock that was wrong, and counts for nothing.
-- One row, which is locked: whether it began, and how many were held back before.
INSERT INTO notifications_throttle AS t (recipient, kind, key, email_id, opened_at, held_back, told)
VALUES (%(recipient)s, %(kind)s, %(key)s, %(email)s, statement_timestamp(), 0, 0)
ON CONFLICT (recipient, kind, key) DO UPDATE SET (email_id, opened_at, held_back, told) = (
    SELECT excluded.email_id, excluded.opened_at, 0, t.held_back
    WHERE t.opened_at <= excluded.opened_at - %(seconds)s * interval '1 s'
       OR t.opened_at >= excluded.opened_at + %(seconds)s * interval '1 s'
    UNION ALL
    SELECT t.email_id, t.opened_at, t.held_back, t.told
    WHERE t.opened_at > excluded.opened_at - %(seconds)s * interval '1 s'
      AND t.opened_at < excluded.opened_at + %(seconds)s * interval '1 s'
)
RETURNING email_id = %(email)s, told
