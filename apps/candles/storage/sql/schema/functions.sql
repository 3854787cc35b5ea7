-- What has changed since the roll-ups were made: the first and last touched minute of one instrument in one
-- UTC day, and whether minutes may be gone from there. Rows are only added where minutes change and only removed
-- by a refresh. There is no unique key: were rows merged, a refresh could remove one that a concurrent writer was
-- counting on.
CREATE TABLE IF NOT EXISTS candle_dirty (
    instrument_id integer     NOT NULL,
    lo            timestamptz NOT NULL,
    hi            timestamptz NOT NULL
);
ALTER TABLE candle_dirty ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE candle_dirty ADD COLUMN IF NOT EXISTS at timestamptz NOT NULL DEFAULT now();
ALTER TABLE candle_dirty ADD COLUMN IF NOT EXISTS removed boolean NOT NULL DEFAULT true;
CREATE INDEX IF NOT EXISTS candle_dirty_instrument ON candle_dirty (instrument_id);

-- Log changed ranges, each within one UTC day of one instrument, and change the version of their months. Nothing
-- is updated here, so writers do not wait for each other.
CREATE OR REPLACE FUNCTION candle_log(ids integer[], los timestamptz[], his timestamptz[], removed boolean)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO candle_dirty (instrument_id, lo, hi, removed)
    SELECT id, lo, hi, candle_log.removed FROM unnest(ids, los, his) AS changed (id, lo, hi) WHERE {logged};
    INSERT INTO candles_revision (instrument_id, month, token)
    SELECT id, month, hashtextextended(gen_random_uuid()::text, 0)
    FROM (
        SELECT id, date_trunc('month', lo, 'UTC')::date AS month FROM unnest(ids, los) AS changed (id, lo)
        GROUP BY 1, 2
    ) AS months;
$$;

-- What others than our own writer change, who logs by himself and says so by chandlery.quiet. So do a change of
-- scale and a move to another table, which change no value.
CREATE OR REPLACE FUNCTION candle_1m_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('chandlery.quiet', true) IS DISTINCT FROM 'on' THEN
        PERFORM candle_log(array_agg(instrument_id), array_agg(lo), array_agg(hi), TG_OP <> 'INSERT')
        FROM (
            SELECT instrument_id, min(ts) AS lo, max(ts) AS hi FROM changed
            GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00')
        ) AS days;
    END IF;
    RETURN NULL;
END $$;

-- The same row by row. Of a day that the transaction has logged already, further rows add nothing: the whole day
-- is logged at once.
CREATE OR REPLACE FUNCTION candle_1m_row_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched candle_1m := coalesce(NEW, OLD);
    day timestamptz := date_bin('1 day', touched.ts, '1970-01-05 00:00+00');
    place text := touched.instrument_id || ' ' || extract(epoch FROM day);
BEGIN
    IF current_setting('chandlery.day_logged', true) IS DISTINCT FROM place THEN
        PERFORM candle_log(
            ARRAY[touched.instrument_id], ARRAY[day], ARRAY[day + interval '1439 minutes'], true
        );
        PERFORM set_config('chandlery.day_logged', place, true);
    END IF;
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
