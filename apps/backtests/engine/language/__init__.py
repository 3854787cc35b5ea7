"""The declarative strategy language: strategies as data, from anyone.

Text and JSON are two forms of one tree. Nothing in it can run code, look ahead, or ask for more work than
the limits allow; all of that is decided before there are data.
"""

from __future__ import annotations

from apps.backtests.engine.language.evaluation import Cache
from apps.backtests.engine.language.schema import DOCUMENT_SCHEMA

__all__ = ["DOCUMENT_SCHEMA", "Cache"]
