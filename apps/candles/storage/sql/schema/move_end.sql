DROP TRIGGER candle_1m_moving_inserted ON candle_1m;
DROP TRIGGER candle_1m_moving_updated_from ON candle_1m;
DROP TRIGGER candle_1m_moving_updated_to ON candle_1m;
DROP TRIGGER candle_1m_moving_deleted ON candle_1m;
DROP TRIGGER candle_1m_moving_truncated ON candle_1m;
DROP FUNCTION candle_1m_moving();
DROP FUNCTION candle_1m_row_moving();
DROP FUNCTION candle_1m_not_now();
DROP TABLE candle_move, candle_move_done, candle_move_log, candle_move_touched
