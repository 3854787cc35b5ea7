-- Say of mails that are to be sent, and whose runs have come to nothing, that they have failed; or that they are
-- sent, where the run was taken away between the server's answer and the record.
UPDATE notifications_email AS e
SET state = CASE WHEN s.finished_at IS NULL THEN 'failed' ELSE 'sent' END,
    changed_at = clock_timestamp(),
    sent_at = coalesce(e.sent_at, s.finished_at),
    provider_id = coalesce(s.result #>> '{}', e.provider_id),
    reason = CASE WHEN s.finished_at IS NOT NULL THEN ''
                  WHEN r.state = 'cancelled' THEN 'its run was cancelled'
                  -- What was raised for a mail that was not sent says why in its words alone.
                  ELSE left(concat_ws(': ', nullif(r.error->>'type', 'NotSent'),
                                      coalesce(r.error->>'message', 'its run died')), 2000)
             END
FROM tasks_taskrun AS r
LEFT JOIN tasks_step AS s ON s.run_id = r.id AND s.name = 'send' AND s.finished_at IS NOT NULL
WHERE e.state = 'requested' AND r.id = e.task_run AND r.state IN ('dead', 'cancelled')
