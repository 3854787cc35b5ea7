-- One row is one thing that happened. The columns are an interface: apps that record an event and
-- change their state in one statement insert here themselves.
CREATE TABLE events_event (
    position       bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT events_event_pk PRIMARY KEY,
    stream         text        NOT NULL,
    version        integer     NOT NULL CONSTRAINT events_event_version_positive CHECK (version > 0),
    type           text        NOT NULL,
    schema_version smallint    NOT NULL,
    data           jsonb       NOT NULL,
    meta           jsonb       NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
    -- The optimistic lock: of two writers who saw the same version one fails.
    CONSTRAINT events_event_stream_version UNIQUE (stream, version)
);

-- The order in which followers read.
CREATE INDEX events_event_follow ON events_event (xid, position);

CREATE FUNCTION events_event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Archiving and restoring turn the guard off for their own transaction.
    IF current_setting('chandlery.events_maintenance', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'events are append-only: % on events_event is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_event_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events_event
    FOR EACH STATEMENT EXECUTE FUNCTION events_event_guard();
