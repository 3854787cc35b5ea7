-- Keep rows, or count those once more that are kept already.
INSERT INTO candles_quarantinedcandle AS kept (
    id, instrument_id, ts, "row", reason, message, origin, run, digest, state, seen, first_seen, last_seen,
    decided_by
)
SELECT given.id, %(instrument_id)s, given.ts, given.line, given.reason, given.message, %(origin)s, %(run)s,
       given.digest, 'held', given.seen, %(now)s, %(now)s, ''
FROM unnest(
    %(ids)s::uuid[], %(ts)s::timestamptz[], %(rows)s::jsonb[], %(reasons)s::text[], %(messages)s::text[],
    %(digests)s::text[], %(seen)s::integer[]
) AS given (id, ts, line, reason, message, digest, seen)
ON CONFLICT (instrument_id, digest, reason) DO UPDATE
SET seen = kept.seen + excluded.seen, last_seen = excluded.last_seen, run = excluded.run
