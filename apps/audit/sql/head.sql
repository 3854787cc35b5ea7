-- The end of the chain, held by this transaction until it ends: nobody else appends meanwhile.
SELECT sequence, hash, clock_timestamp() FROM audit_head FOR UPDATE
