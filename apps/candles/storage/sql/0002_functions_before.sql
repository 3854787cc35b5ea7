-- The functions as 0001 made them, for going back.
DROP FUNCTION IF EXISTS candle_materialised(name);
DROP FUNCTION candle_1m_row_changed();
DROP FUNCTION candle_log(integer[], timestamptz[], timestamptz[], boolean);
ALTER TABLE candle_dirty DROP COLUMN id, DROP COLUMN at, DROP COLUMN removed;
CREATE OR REPLACE FUNCTION candle_1m_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('chandlery.rescaling', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO candle_dirty (instrument_id, lo, hi)
    SELECT instrument_id, min(ts), max(ts)
    FROM changed
    GROUP BY instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00');
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION candle_1m_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE candle_5m, candle_1h, candle_1d, candle_dirty;
    RETURN NULL;
END $$;
