-- A move to another kind of store: its target, what is done of it, which days of which instruments were
-- changed since it began, and which of those were copied again.
CREATE TABLE candle_move (base text NOT NULL, rollups text NOT NULL);
INSERT INTO candle_move VALUES ('{base}', '{rollups}');
CREATE TABLE candle_move_done (step text NOT NULL, month date NOT NULL, PRIMARY KEY (step, month));
CREATE TABLE candle_move_log (instrument_id integer NOT NULL, day timestamptz NOT NULL);
CREATE TABLE candle_move_touched (instrument_id integer NOT NULL, day timestamptz NOT NULL);

CREATE FUNCTION candle_1m_moving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO candle_move_log
    SELECT DISTINCT instrument_id, date_bin('1 day', ts, '1970-01-05 00:00+00') FROM changed;
    RETURN NULL;
END $$;
CREATE FUNCTION candle_1m_row_moving() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE touched candle_1m := coalesce(NEW, OLD);
BEGIN
    INSERT INTO candle_move_log
    VALUES (touched.instrument_id, date_bin('1 day', touched.ts, '1970-01-05 00:00+00'));
    RETURN NULL;
END $$;
CREATE FUNCTION candle_1m_not_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'candle_1m is being moved: delete rows instead, or abandon the move first';
END $$;
CREATE TRIGGER candle_1m_moving_updated_from AFTER UPDATE ON candle_1m
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_moving();
CREATE TRIGGER candle_1m_moving_updated_to AFTER UPDATE ON candle_1m
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_moving();
CREATE TRIGGER candle_1m_moving_truncated BEFORE TRUNCATE ON candle_1m
    FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_not_now();
