-- Delete what some of the mails say that were over before the time for which that is kept.
UPDATE notifications_email
SET context = '{}', body = '', html = '', emptied_at = statement_timestamp()
WHERE id IN (
    SELECT id
    FROM notifications_email
    WHERE emptied_at IS NULL AND state <> 'requested'
      AND created_at < statement_timestamp() - %(days)s * interval '1 day'
      AND changed_at < statement_timestamp() - %(days)s * interval '1 day'
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
