-- Candles as integers: value * 10^scale of the instrument (candles_instrument.price_scale, volume_scale).
-- ts is the open time. Nothing here refers to candles_instrument by a foreign key: checking one for every
-- row would halve the speed of COPY. A trigger on that table protects instruments that have candles.
CREATE TABLE {table} (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    CONSTRAINT {table}_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_1m_whole_minute CHECK (ts = date_bin('1 minute', ts, '1970-01-05 00:00+00')),
    CONSTRAINT candle_1m_values CHECK (
        low <= open AND low <= close AND high >= open AND high >= close
        AND low > -9007199254740992 AND high < 9007199254740992
        AND volume >= 0 AND volume < 9007199254740992
    )
) {partitioning}
