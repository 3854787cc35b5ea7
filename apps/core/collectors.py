"""Where apps register what ``GET /metrics`` asks: apart from the view, which a worker need not import."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

#: The collectors that are asked, each time anew.
registry = CollectorRegistry(auto_describe=False)
