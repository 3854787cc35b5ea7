-- An update may move a row, so both where it was and where it is are dirty.
CREATE OR REPLACE TRIGGER candle_1m_updated_from AFTER UPDATE ON candle_1m
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE OR REPLACE TRIGGER candle_1m_updated_to AFTER UPDATE ON candle_1m
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE OR REPLACE TRIGGER candle_1m_truncated AFTER TRUNCATE ON candle_1m
    FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_truncated();
DROP TRIGGER IF EXISTS candle_1m_inserted ON candle_1m;
DROP TRIGGER IF EXISTS candle_1m_deleted ON candle_1m;
