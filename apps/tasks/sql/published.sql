-- Record what was sent. The caller holds the rows' locks, and need not wait until its commit is on disk: a run
-- whose publication was forgotten by a crash is published again, and the claim takes the first message.
WITH sent AS (
    SELECT key::uuid AS id, value AS message_id FROM jsonb_each_text(%(sent)s::jsonb)
),
run AS (
    UPDATE tasks_taskrun AS t
    SET state = 'queued', version = version + 1, published_at = clock_timestamp()
    FROM sent
    WHERE t.id = sent.id AND t.state IN ('scheduled', 'queued')
    RETURNING t.id, t.queue, t.version, t.published_at, sent.message_id
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.published', 1,
           jsonb_build_object('queue', queue, 'message_id', message_id, 'reason', %(reason)s::text),
           %(meta)s::jsonb, published_at
    FROM run
)
SELECT set_config('synchronous_commit', 'off', true)
