-- Record a batch: a row and its first event. Nothing where the id is taken.
WITH batch AS (
    INSERT INTO tasks_batch (
        id, description, state, version, total, completes_when, callback, members, reason, created_at, meta
    )
    VALUES (
        %(id)s, %(description)s, 'open', 1, %(total)s, %(completes_when)s, %(callback)s::jsonb,
        %(members)s::jsonb, '', clock_timestamp(), %(meta)s::jsonb
    )
    ON CONFLICT DO NOTHING
    RETURNING *
),
event AS (
    INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
    SELECT 'batch:' || id, 1, 'batch.created', 1,
           jsonb_build_object('description', description, 'total', total, 'completes_when', completes_when,
                              'callback', callback, 'members', members),
           meta, created_at
    FROM batch
)
SELECT id FROM batch
