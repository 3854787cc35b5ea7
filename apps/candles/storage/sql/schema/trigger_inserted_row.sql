-- With a transition table in its place, TimescaleDB 2.29 does not notice that COPY has made its continuous
-- aggregates old.
CREATE TRIGGER candle_1m_inserted AFTER INSERT ON candle_1m
    FOR EACH ROW WHEN (current_setting('chandlery.quiet', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION candle_1m_row_changed()
