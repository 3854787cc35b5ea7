"""Backtests and strategies over HTTP."""
