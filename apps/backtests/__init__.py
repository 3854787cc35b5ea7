"""Backtests as a service over the candle store."""
