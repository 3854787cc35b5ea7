-- Delete some of the answers whose keys may be used anew.
DELETE FROM webhooks_receipt
WHERE (endpoint_id, key) IN (
    SELECT endpoint_id, key
    FROM webhooks_receipt
    WHERE created_at < statement_timestamp() - %(older)s::interval
    LIMIT %(limit)s
)
