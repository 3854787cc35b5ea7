"""The parts of ``manage.py backtest``."""
