-- A roll-up that is kept by our own refresh. n counts the minutes inside. Below 2^53 every value has an exact
-- float64.
CREATE TABLE {table} (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    n             integer     NOT NULL,
    CONSTRAINT {table}_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_rollup_values CHECK (volume < 9007199254740992)
)
