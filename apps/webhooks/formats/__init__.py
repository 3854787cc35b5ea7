"""The formats that signals come in, by the names they have in addresses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from apps.webhooks.formats.base import Format
from apps.webhooks.formats.pineforge import PineForge
from apps.webhooks.formats.tradingview import TradingView

FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in (TradingView(), PineForge())})
