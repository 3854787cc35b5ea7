-- Log deliveries, and count those that were not logged before.
WITH arrived AS (
    SELECT *
    FROM jsonb_to_recordset(%(deliveries)s::jsonb) AS (
        id uuid, endpoint_id uuid, at timestamptz, address inet, user_agent text, format text, outcome text,
        layer text, code text, detail text, status smallint, signal text, symbol text, simulation boolean,
        order_id uuid, key text, body jsonb, body_digest text, size integer, milliseconds float8, request_id text
    )
),
logged AS (
    INSERT INTO webhooks_delivery (
        id, endpoint_id, at, address, user_agent, format, outcome, layer, code, detail, status, signal, symbol,
        simulation, order_id, key, body, body_digest, size, milliseconds, request_id
    )
    SELECT id, endpoint_id, at, address, user_agent, format, outcome, layer, code, detail, status, signal, symbol,
           simulation, order_id, key, nullif(body, 'null'), body_digest, size, milliseconds, request_id
    FROM arrived
    ON CONFLICT (id) DO NOTHING
    RETURNING *
),
counted AS (
    SELECT format, outcome, layer, code, count(*) AS count, sum(milliseconds) / 1000 AS seconds,
           array_agg(width_bucket(milliseconds / 1000, %(bounds)s::float8[]) + 1) AS slots
    FROM logged
    GROUP BY format, outcome, layer, code
),
added AS (
    INSERT INTO webhooks_delivery_count AS known (format, outcome, layer, code, count, seconds, histogram)
    SELECT format, outcome, layer, code, count, seconds,
           ARRAY(
               SELECT count(s.slot)
               FROM generate_series(1, cardinality(%(bounds)s::float8[]) + 1) AS place
               LEFT JOIN unnest(slots) AS s (slot) ON s.slot = place
               GROUP BY place
               ORDER BY place
           )
    FROM counted
    -- Always in this order, so that two batches do not wait for each other.
    ORDER BY format, outcome, layer, code
    ON CONFLICT (format, outcome, layer, code) DO UPDATE
    SET count = known.count + excluded.count,
        seconds = known.seconds + excluded.seconds,
        histogram = ARRAY(
            SELECT coalesce(a, 0) + coalesce(b, 0)
            FROM unnest(known.histogram, excluded.histogram) WITH ORDINALITY AS s (a, b, place)
            ORDER BY place
        )
)
SELECT id FROM logged
