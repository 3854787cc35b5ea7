-- Record a message that was seen in a dead-letter queue.
INSERT INTO tasks_deadletter AS l (
    id, message_id, queue, run_id, task, body, reason, receives, sent_at, first_seen, last_seen, discard, gone_at
)
VALUES (
    %(id)s, %(message_id)s, %(queue)s, %(run_id)s, %(task)s, %(body)s, %(reason)s, %(receives)s, %(sent_at)s,
    clock_timestamp(), clock_timestamp(), false, NULL
)
ON CONFLICT (queue, message_id) DO UPDATE
SET last_seen = EXCLUDED.last_seen, receives = EXCLUDED.receives, gone_at = NULL
RETURNING l.id, l.discard
