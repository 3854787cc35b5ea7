"""The parts of ``manage.py candles``: a module for each group of its commands, and what they share."""
