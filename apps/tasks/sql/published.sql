-- Record what was sent: a document of the runs' ids and their messages'. The caller holds the rows' locks, and need
-- not wait until its commit is on disk: a run whose publication was forgotten by a crash is published again, and
-- the claim takes the first message.
WITH run AS (
    -- Found by their ids. For the form of the state see the indexes of the model.
    UPDATE tasks_taskrun
    SET state = 'queued', version = version + 1, published_at = clock_timestamp()
    WHERE id = ANY (ARRAY(SELECT jsonb_object_keys(%(sent)s::jsonb)::uuid))
      AND left(state, 16) IN ('scheduled', 'queued')
    RETURNING id::text, queue, version, meta, published_at
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'task:' || id, version, 'task.published', 1,
           jsonb_build_object(
               'queue', queue, 'message_id', %(sent)s::jsonb -> id, 'reason', %(reason)s::text
           ),
           -- What follows from one request shares its ids.
           jsonb_strip_nulls(jsonb_build_object('correlation_id', meta -> 'correlation_id',
                                                'traceparent', meta -> 'traceparent')) || %(meta)s::jsonb,
           published_at
    FROM run
)
SELECT set_config('synchronous_commit', 'off', true)
