"""Instruments, candles and prices over HTTP."""
