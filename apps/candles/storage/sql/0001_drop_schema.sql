DROP TRIGGER candles_instrument_kept ON candles_instrument;
DROP FUNCTION candles_instrument_kept();
DROP TABLE candle_1m, candle_5m, candle_1h, candle_1d, candle_dirty;
DROP FUNCTION candle_1m_changed();
DROP FUNCTION candle_1m_truncated();
