-- Note, once, that the callback of a batch cannot be requested as things stand: because a run of it has ended
-- without success (failed_run), which is news only where all must succeed, or for another reason.
WITH batch AS (
    UPDATE tasks_batch
    SET state = 'incomplete', version = version + 1, reason = %(reason)s
    WHERE id = %(id)s AND state = 'open' AND (completes_when = 'succeeded' OR NOT %(failed_run)s)
    RETURNING id, version, reason, callback, meta
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'batch:' || id, version, 'batch.incomplete', 1, jsonb_build_object('reason', reason),
           %(meta)s::jsonb, clock_timestamp()
    FROM batch
)
SELECT callback, meta FROM batch
