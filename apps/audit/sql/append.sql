-- Rows behind the head, and the head behind them.
WITH appended AS (
    INSERT INTO audit_entry (
        sequence, id, encoding, occurred_at, recorded_at, actor, action, object_type, object_id, account,
        outcome, address, user_agent, request_id, correlation_id, before, after, detail, key_id,
        previous_hash, hash
    )
    SELECT
        sequence, id, %(encoding)s, occurred_at, %(recorded_at)s, actor, action, object_type, object_id, account,
        outcome, address::inet, user_agent, request_id, correlation_id, before::jsonb, after::jsonb,
        detail::jsonb, %(key_id)s, previous_hash, hash
    FROM unnest(
        %(sequence)s::bigint[], %(id)s::uuid[], %(occurred_at)s::timestamptz[], %(actor)s::text[],
        %(action)s::text[], %(object_type)s::text[], %(object_id)s::text[], %(account)s::text[],
        %(outcome)s::text[], %(address)s::text[], %(user_agent)s::text[], %(request_id)s::text[],
        %(correlation_id)s::text[], %(before)s::text[], %(after)s::text[], %(detail)s::text[],
        %(previous_hash)s::bytea[], %(hash)s::bytea[]
    ) AS new (
        sequence, id, occurred_at, actor, action, object_type, object_id, account, outcome, address,
        user_agent, request_id, correlation_id, before, after, detail, previous_hash, hash
    )
)
UPDATE audit_head SET sequence = %(last)s, hash = %(last_hash)s WHERE sequence = %(first)s - 1
