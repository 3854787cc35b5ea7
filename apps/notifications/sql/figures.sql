-- Mails of the last day by kind and state, then one row with the number of unsent ones and the age of the oldest.
SELECT kind, state, count(*), NULL::float8
FROM notifications_email
WHERE created_at > statement_timestamp() - interval '1 day'
GROUP BY kind, state
UNION ALL
SELECT NULL, NULL, count(*), coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)::float8
FROM notifications_email
WHERE state = 'requested'
