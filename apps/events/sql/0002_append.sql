-- Record events at the ends of streams: all of them or none, in one round trip and with plans that are
-- kept. `batches` is [[stream, after, [[type, schema_version, data], ...]], ...].
--
-- Positions come back in the order given. They are drawn after the look at where the streams stand, so
-- within a stream they ascend with the versions. Somebody who wrote first is named in `conflict`, and
-- nothing is recorded then; the transaction goes on.
CREATE FUNCTION events_append(
    batches jsonb,
    meta jsonb,
    OUT conflict text,
    OUT positions bigint[],
    OUT recorded_at timestamptz,
    OUT xid xid8
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    violated text;
BEGIN
    SELECT batch ->> 0 INTO conflict
    FROM jsonb_array_elements(batches) AS batch
    WHERE (batch ->> 1)::integer
        <> (SELECT coalesce(max(e.version), 0) FROM events_event AS e WHERE e.stream = batch ->> 0)
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    recorded_at := clock_timestamp();
    xid := pg_current_xact_id();
    BEGIN
        WITH recorded AS (
            INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)
            SELECT
                batch ->> 0, (batch ->> 1)::integer + new.place, new.event ->> 0,
                (new.event ->> 1)::smallint, new.event -> 2, events_append.meta, events_append.recorded_at
            FROM jsonb_array_elements(batches) WITH ORDINALITY AS given (batch, place),
                jsonb_array_elements(batch -> 2) WITH ORDINALITY AS new (event, place)
            ORDER BY given.place, new.place
            RETURNING position
        )
        SELECT array_agg(position ORDER BY position) INTO positions FROM recorded;
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME, conflict = PG_EXCEPTION_DETAIL;
        IF violated <> 'events_event_stream_version' THEN
            RAISE;
        END IF;
    END;
END
$$;
