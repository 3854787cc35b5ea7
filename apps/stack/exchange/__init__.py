"""A simulated spot exchange that speaks Binance's REST API, so that the real client has something to talk to.

Run it with ``python -m apps.stack.exchange --port N``. Prices are a pure function of symbol, minute
and seed, or a replayed file of real minutes; faults can be ordered over HTTP. Nothing here imports
Django, and nothing outside ``apps.stack`` imports this package: its face is the HTTP interface.
"""
