"""Simulated exchanges that speak the REST APIs of Binance, Bybit and Kraken, for the real clients to talk to.

Run it with ``python -m apps.stack.exchange --port N``: one process, one port, their paths do not collide.
Prices are a pure function of symbol, minute and seed, or (Binance only) a replayed file of real minutes;
faults and outages can be ordered over HTTP. Binance also takes signed orders, for accounts that are opened
over HTTP; with ``--books FILE`` all of that survives the death of the process. Nothing here imports Django,
and nothing outside ``apps.stack`` imports this package: its face is the HTTP interface.
"""
