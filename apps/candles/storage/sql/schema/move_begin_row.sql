-- Row by row for what TimescaleDB cannot do with transition tables, see trigger_inserted_row.sql.
CREATE TRIGGER candle_1m_moving_inserted AFTER INSERT ON candle_1m
    FOR EACH ROW EXECUTE FUNCTION candle_1m_row_moving();
CREATE TRIGGER candle_1m_moving_deleted AFTER DELETE ON candle_1m
    FOR EACH ROW EXECUTE FUNCTION candle_1m_row_moving();
