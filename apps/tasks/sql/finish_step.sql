-- Keep what a step came to. The first result stays.
UPDATE tasks_step
SET finished_at = coalesce(finished_at, clock_timestamp()),
    result = CASE WHEN finished_at IS NULL THEN %(result)s::jsonb ELSE result END
WHERE run_id = %(id)s AND name = %(name)s
RETURNING result
