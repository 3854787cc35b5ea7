-- One row is one deed. Sequences have no holes, and each row's hash is made of all of its columns and of the
-- hash before it (apps/audit/canonical.py). Who may only append needs SELECT and INSERT here, and SELECT and
-- UPDATE on audit_head; pruning needs DELETE here too.
CREATE TABLE audit_entry (
    sequence       bigint      CONSTRAINT audit_entry_pk PRIMARY KEY
                               CONSTRAINT audit_entry_sequence_positive CHECK (sequence > 0),
    id             uuid        NOT NULL CONSTRAINT audit_entry_id UNIQUE,
    encoding       smallint    NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    actor          text        NOT NULL,
    action         text        NOT NULL,
    object_type    text        NOT NULL,
    object_id      text        NOT NULL,
    account        text        NOT NULL,
    outcome        text        NOT NULL
                               CONSTRAINT audit_entry_outcome_known
                               CHECK (outcome IN ('succeeded', 'refused', 'failed')),
    address        inet,
    user_agent     text        NOT NULL,
    request_id     text        NOT NULL,
    correlation_id text        NOT NULL,
    before         jsonb,
    after          jsonb,
    detail         jsonb,
    key_id         text        NOT NULL,
    previous_hash  bytea       NOT NULL,
    hash           bytea       NOT NULL
);

CREATE INDEX audit_entry_occurred ON audit_entry (occurred_at);
CREATE INDEX audit_entry_recorded ON audit_entry USING brin (recorded_at);
CREATE INDEX audit_entry_actor ON audit_entry (actor, sequence);
CREATE INDEX audit_entry_action ON audit_entry (action, sequence);
CREATE INDEX audit_entry_object ON audit_entry (object_id, sequence) WHERE object_id <> '';
CREATE INDEX audit_entry_account ON audit_entry (account, sequence) WHERE account <> '';
CREATE INDEX audit_entry_address ON audit_entry (address, sequence) WHERE address IS NOT NULL;
CREATE INDEX audit_entry_correlation ON audit_entry (correlation_id, sequence) WHERE correlation_id <> '';
-- Few, so that they are found among many.
CREATE INDEX audit_entry_not_succeeded ON audit_entry (outcome, sequence) WHERE outcome <> 'succeeded';

-- One row: how far the chain has come, and how much of its beginning was pruned. Whoever appends holds it.
CREATE TABLE audit_head (
    only_row       boolean CONSTRAINT audit_head_pk PRIMARY KEY DEFAULT true
                           CONSTRAINT audit_head_only_row CHECK (only_row),
    sequence       bigint  NOT NULL,
    hash           bytea   NOT NULL,
    pruned_through bigint  NOT NULL,
    pruned_hash    bytea   NOT NULL
);

INSERT INTO audit_head (sequence, hash, pruned_through, pruned_hash)
VALUES (0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Pruning turns the guard off for its own transaction.
    IF current_setting('chandlery.audit_maintenance', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER audit_entry_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();

CREATE TRIGGER audit_head_stays
    BEFORE INSERT OR DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
