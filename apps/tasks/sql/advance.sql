-- Let time have passed: every time that runs, rate keys and entries have lies so much further back.
WITH span AS (SELECT %(seconds)s * interval '1 second' AS long),
hit AS (
    UPDATE tasks_ratehit SET at = at - long, expires_at = expires_at - long FROM span
),
entry AS (
    UPDATE tasks_entry SET requested_at = requested_at - long FROM span
)
UPDATE tasks_taskrun
SET requested_at = requested_at - long, due_at = due_at - long, expires_at = expires_at - long,
    published_at = published_at - long, started_at = started_at - long, finished_at = finished_at - long,
    lease_until = lease_until - long
FROM span
