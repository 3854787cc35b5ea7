-- Candles as integers: value * 10^scale of the instrument (candles_instrument.price_scale, volume_scale).
-- ts is the open time. Nothing here refers to candles_instrument by a foreign key: checking one for every
-- row would halve the speed of COPY. The last trigger of this file protects instruments that have candles.

-- Partitions are one UTC month each and are made by the writer. There is no default partition: a row that
-- nobody planned for must fail, not hide. Write through candle_1m, never to a partition by name, because the
-- triggers that keep the roll-ups right belong to the parent.
CREATE TABLE candle_1m (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    CONSTRAINT candle_1m_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_1m_whole_minute CHECK (ts = date_bin('1 minute', ts, '1970-01-05 00:00+00')),
    CONSTRAINT candle_1m_values CHECK (
        low <= open AND low <= close AND high >= open AND high >= close
        AND low > -9007199254740992 AND high < 9007199254740992
        AND volume >= 0 AND volume < 9007199254740992
    )
) PARTITION BY RANGE (ts);

-- Roll-ups. n counts the minutes inside. Below 2^53 every value has an exact float64.
CREATE TABLE candle_5m (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    n             integer     NOT NULL,
    CONSTRAINT candle_5m_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_5m_values CHECK (volume < 9007199254740992)
);

CREATE TABLE candle_1h (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    n             integer     NOT NULL,
    CONSTRAINT candle_1h_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_1h_values CHECK (volume < 9007199254740992)
);

CREATE TABLE candle_1d (
    instrument_id integer     NOT NULL,
    ts            timestamptz NOT NULL,
    open          bigint      NOT NULL,
    high          bigint      NOT NULL,
    low           bigint      NOT NULL,
    close         bigint      NOT NULL,
    volume        bigint      NOT NULL,
    n             integer     NOT NULL,
    CONSTRAINT candle_1d_pkey PRIMARY KEY (instrument_id, ts),
    CONSTRAINT candle_1d_values CHECK (volume < 9007199254740992)
);

-- What has changed since the roll-ups were made: the first and last touched minute of one instrument in one
-- UTC day. Rows are only added by the triggers and only removed by a refresh. There is no unique key: were
-- rows merged, a refresh could remove one that a concurrent writer was counting on.
CREATE TABLE candle_dirty (
    instrument_id integer     NOT NULL,
    lo            timestamptz NOT NULL,
    hi            timestamptz NOT NULL
);
CREATE INDEX candle_dirty_instrument ON candle_dirty (instrument_id);

CREATE FUNCTION candle_1m_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A change of scale multiplies every level itself, so it makes nothing dirty.
    IF current_setting('chandlery.rescaling', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO candle_dirty (instrument_id, lo, hi)
    SELECT instrument_id, min(ts), max(ts)
    FROM changed
    GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00');
    RETURN NULL;
END $$;

-- An update may move a row, so both where it was and where it is are dirty.
CREATE TRIGGER candle_1m_inserted AFTER INSERT ON candle_1m
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_updated_from AFTER UPDATE ON candle_1m
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_updated_to AFTER UPDATE ON candle_1m
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_deleted AFTER DELETE ON candle_1m
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();

CREATE FUNCTION candle_1m_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE candle_5m, candle_1h, candle_1d, candle_dirty;
    RETURN NULL;
END $$;
CREATE TRIGGER candle_1m_truncated AFTER TRUNCATE ON candle_1m
    FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_truncated();

CREATE FUNCTION candles_instrument_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM candle_1m WHERE instrument_id = OLD.id)
       OR EXISTS (SELECT FROM candle_1d WHERE instrument_id = OLD.id) THEN
        RAISE EXCEPTION 'instrument % still has candles', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER candles_instrument_kept BEFORE DELETE ON candles_instrument
    FOR EACH ROW EXECUTE FUNCTION candles_instrument_kept();
