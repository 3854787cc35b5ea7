CREATE TRIGGER candle_1m_deleted AFTER DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION candle_1m_row_deleted()
