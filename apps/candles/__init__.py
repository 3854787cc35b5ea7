"""Instruments, one-minute candles and their roll-ups, ingestion, data sources and the candle API."""
