-- Keeps a result where it is until the end of the transaction; many may do so at once.
SELECT id FROM backtests_result WHERE id = %(id)s FOR KEY SHARE SKIP LOCKED
