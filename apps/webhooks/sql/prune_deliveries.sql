-- Delete some of the deliveries that are older than the log is kept.
DELETE FROM webhooks_delivery
WHERE id IN (
    SELECT id
    FROM webhooks_delivery
    WHERE at < statement_timestamp() - %(older)s::interval
    LIMIT %(limit)s
)
