-- An update may move a row, so both where it was and where it is are dirty.
CREATE TRIGGER candle_1m_inserted AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_updated_from AFTER UPDATE ON {table}
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_updated_to AFTER UPDATE ON {table}
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_changed();
CREATE TRIGGER candle_1m_truncated AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION candle_1m_truncated();
