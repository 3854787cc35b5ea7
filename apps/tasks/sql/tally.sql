-- Count events of runs: by queue, task, type and span of time, with how long what they ended had lasted.
WITH batch AS (
    SELECT stream, version, type, recorded_at,
           CASE WHEN stream ~ '^task:[0-9a-f-]{36}$' THEN substr(stream, 6)::uuid END AS run_id
    FROM events_event
    WHERE position = ANY(%(positions)s)
),
event AS (
    SELECT b.type, b.recorded_at,
           coalesce(run.queue, request.data ->> 'queue', '') AS queue,
           coalesce(run.task, request.data ->> 'task', '') AS task,
           CASE WHEN since.moment IS NOT NULL
                THEN greatest(extract(epoch FROM b.recorded_at - since.moment), 0)::float8 END AS seconds
    FROM batch AS b
    LEFT JOIN tasks_taskrun AS run ON run.id = b.run_id
    LEFT JOIN events_event AS request ON run.id IS NULL AND request.stream = b.stream AND request.version = 1
    -- A start ends the wait since the run was due; the end of an attempt ends what its start began.
    LEFT JOIN LATERAL (
        SELECT CASE b.type
                   WHEN 'task.started' THEN
                       greatest(coalesce(e.data ->> 'due_at', e.data ->> 'retry_at')::timestamptz, e.recorded_at)
                   ELSE e.recorded_at
               END AS moment
        FROM events_event AS e
        WHERE e.stream = b.stream AND e.version < b.version
          AND CASE b.type
                  WHEN 'task.started' THEN coalesce(e.data ->> 'due_at', e.data ->> 'retry_at') IS NOT NULL
                  ELSE e.type = 'task.started'
              END
        ORDER BY e.version DESC
        LIMIT 1
    ) AS since
        ON b.type IN ('task.started', 'task.succeeded', 'task.attempt_failed', 'task.orphaned', 'task.handed_back')
),
counted AS (
    SELECT span.resolution, span.starts_at, queue, task, type, count(*) AS count,
           coalesce(sum(seconds), 0) AS seconds,
           array_agg(width_bucket(seconds, %(bounds)s::float8[]) + 1) FILTER (WHERE seconds IS NOT NULL) AS slots
    FROM event
    CROSS JOIN LATERAL (
        VALUES ('minute', date_trunc('minute', recorded_at, 'UTC')),
               ('hour', date_trunc('hour', recorded_at, 'UTC')),
               ('total', to_timestamp(0))
    ) AS span (resolution, starts_at)
    GROUP BY span.resolution, span.starts_at, queue, task, type
)
INSERT INTO tasks_statistic AS known (resolution, starts_at, queue, task, event, count, seconds, histogram)
SELECT resolution, starts_at, queue, task, type, count, seconds,
       CASE WHEN slots IS NULL THEN '{}' ELSE ARRAY(
           SELECT count(s.slot)
           FROM generate_series(1, cardinality(%(bounds)s::float8[]) + 1) AS place
           LEFT JOIN unnest(slots) AS s (slot) ON s.slot = place
           GROUP BY place
           ORDER BY place
       ) END
FROM counted
ON CONFLICT (resolution, starts_at, queue, task, event) DO UPDATE
SET count = known.count + excluded.count,
    seconds = known.seconds + excluded.seconds,
    histogram = ARRAY(
        SELECT coalesce(sum.a, 0) + coalesce(sum.b, 0)
        FROM unnest(known.histogram, excluded.histogram) WITH ORDINALITY AS sum (a, b, place)
        ORDER BY place
    )
