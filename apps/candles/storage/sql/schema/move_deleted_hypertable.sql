CREATE TRIGGER candle_1m_moving_deleted AFTER DELETE ON candle_1m
    FOR EACH ROW EXECUTE FUNCTION candle_1m_row_moving()
