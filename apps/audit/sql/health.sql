-- How many ends the chain has (one), what is on its way to it and since when, and what the last look found that
-- nobody has accepted.
SELECT (SELECT count(*) FROM audit_head), entries.waiting, entries.lag,
       coalesce((SELECT CASE WHEN accepted = '' THEN findings ELSE 0 END
                 FROM audit_verification ORDER BY id DESC LIMIT 1), 0)
FROM (
    SELECT count(*) AS waiting,
           coalesce(extract(epoch FROM clock_timestamp() - min(requested_at))::float8, 0) AS lag
    FROM tasks_entry
    WHERE task = %(task)s
) AS entries
