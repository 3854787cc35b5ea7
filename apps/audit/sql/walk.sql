-- The head, and beside it every row of a part of the chain: one statement, so that they are of one moment.
-- Numbers and times come as they are stored, whatever they are.
SELECT
    h.sequence, h.hash, h.pruned_through, h.pruned_hash,
    e.sequence, e.id::text, extract(epoch FROM e.occurred_at) * 1000000,
    extract(epoch FROM e.recorded_at) * 1000000, e.actor, e.action, e.object_type, e.object_id, e.account,
    e.outcome, e.address, e.user_agent, e.request_id, e.correlation_id, e.before, e.after, e.detail, e.key_id,
    e.previous_hash, e.hash, e.encoding
FROM audit_head AS h
LEFT JOIN audit_entry AS e ON e.sequence >= %(first)s
ORDER BY e.sequence
