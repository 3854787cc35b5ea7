-- Lives as long as the connection, is empty at the start of every transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS candle_stage (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL
) ON COMMIT DELETE ROWS
