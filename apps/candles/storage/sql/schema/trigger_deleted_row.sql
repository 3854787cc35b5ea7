-- Hypertables have no transition tables for deletions.
CREATE TRIGGER candle_1m_deleted AFTER DELETE ON candle_1m
    FOR EACH ROW WHEN (current_setting('chandlery.quiet', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION candle_1m_row_changed()
