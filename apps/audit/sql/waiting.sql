-- Entries on their way, and how long the first of them has waited.
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(requested_at))::float8, 0)
FROM tasks_entry
WHERE task = %(task)s
