-- What has changed since the roll-ups were made: the first and last touched minute of one instrument in one
-- UTC day. Rows are only added by the triggers and only removed by a refresh. There is no unique key: were
-- rows merged, a refresh could remove one that a concurrent writer was counting on.
CREATE TABLE IF NOT EXISTS candle_dirty (
    instrument_id integer     NOT NULL,
    lo            timestamptz NOT NULL,
    hi            timestamptz NOT NULL
);
ALTER TABLE candle_dirty ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY;
CREATE INDEX IF NOT EXISTS candle_dirty_instrument ON candle_dirty (instrument_id);

-- Log what a statement touched, and give the months concerned a new revision: the version of their data.
CREATE OR REPLACE FUNCTION candle_1m_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A change of scale, or moving the minutes to another table, changes no value.
    IF current_setting('chandlery.same_values', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO candle_dirty (instrument_id, lo, hi)
    SELECT instrument_id, min(ts), max(ts)
    FROM changed
    GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')
    HAVING {logged};
    INSERT INTO candles_revision AS r (instrument_id, month, token)
    SELECT DISTINCT instrument_id, date_trunc('month', ts, 'UTC')::date, gen_random_uuid()
    FROM (
        SELECT instrument_id, min(ts) AS ts FROM changed
        GROUP BY instrument_id, date_trunc('month', ts, 'UTC')
    ) AS months
    ORDER BY 1, 2
    ON CONFLICT (instrument_id, month) DO UPDATE SET token = excluded.token;
    RETURN NULL;
END $$;

-- The same for a hypertable's deletions, which TimescaleDB shows to a trigger row by row only. Of a day that the
-- transaction has logged already, further rows add nothing: the whole day is logged at once.
CREATE OR REPLACE FUNCTION candle_1m_row_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    day timestamptz := date_bin('1 day', OLD.ts, '1970-01-05 00:00+00');
    place text := OLD.instrument_id || ' ' || extract(epoch FROM day);
BEGIN
    IF current_setting('chandlery.same_values', true) = 'on'
       OR current_setting('chandlery.day_logged', true) = place THEN
        RETURN NULL;
    END IF;
    INSERT INTO candle_dirty (instrument_id, lo, hi)
    VALUES (OLD.instrument_id, day, day + interval '1439 minutes');
    INSERT INTO candles_revision AS r (instrument_id, month, token)
    VALUES (OLD.instrument_id, date_trunc('month', OLD.ts, 'UTC')::date, gen_random_uuid())
    ON CONFLICT (instrument_id, month) DO UPDATE SET token = excluded.token;
    PERFORM set_config('chandlery.day_logged', place, true);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION candle_1m_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE {rollups}, candle_dirty, candles_revision;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION candles_instrument_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM candle_1m WHERE instrument_id = OLD.id)
       OR EXISTS (SELECT FROM candle_1d WHERE instrument_id = OLD.id) THEN
        RAISE EXCEPTION 'instrument % still has candles', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER candles_instrument_kept BEFORE DELETE ON candles_instrument
    FOR EACH ROW EXECUTE FUNCTION candles_instrument_kept();
