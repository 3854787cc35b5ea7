-- Say of mails that are to be sent, and whose runs have come to nothing, that they have failed.
UPDATE notifications_email AS e
SET state = 'failed',
    changed_at = clock_timestamp(),
    reason = CASE WHEN r.state = 'cancelled' THEN 'its run was cancelled'
                  -- What was raised for a mail that was not sent says why in its words alone.
                  ELSE left(concat_ws(': ', nullif(r.error->>'type', 'NotSent'),
                                      coalesce(r.error->>'message', 'its run died')), 2000)
             END
FROM tasks_taskrun AS r
WHERE e.state = 'requested' AND r.id = e.task_run AND r.state IN ('dead', 'cancelled')
