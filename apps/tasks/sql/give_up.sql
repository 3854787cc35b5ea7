-- Give a run up whose message SQS itself has moved to the dead-letter queue: it was received again and again,
-- and nobody claimed the run. Only where the message is that of the run's last publication.
-- For the form of the state see the indexes of the model.
WITH run AS (
    UPDATE tasks_taskrun AS t
    SET state = 'dead', version = t.version + 1, finished_at = clock_timestamp(), dead_letter_due = false,
        alert_due = true,
        error = jsonb_build_object('type', 'Unclaimed', 'message', %(reason)s::text, 'trace', '')
    FROM events_event AS e
    WHERE t.id = %(id)s AND left(t.state, 16) = 'queued' AND e.stream = 'task:' || t.id AND e.version = t.version
      AND e.type = 'task.published' AND e.data ->> 'message_id' = %(message_id)s
    RETURNING t.id, t.version, t.finished_at, t.gate
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.dead_lettered', 1, jsonb_build_object('reason', %(reason)s::text),
           %(meta)s::jsonb, finished_at
    FROM run
)
SELECT id, CASE WHEN gate <> '' THEN pg_notify('tasks_due', '') END FROM run
