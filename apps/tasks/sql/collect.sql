-- Give the entries of a task that have waited longest to a run. What another relay holds is its business.
WITH waiting AS (
    SELECT id
    FROM tasks_entry
    WHERE task = %(task)s AND run_id IS NULL
    ORDER BY requested_at
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks_entry AS e SET run_id = %(run_id)s FROM waiting WHERE e.id = waiting.id
