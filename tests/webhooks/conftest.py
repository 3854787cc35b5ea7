from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.candles.models import Instrument
from apps.webhooks import symbols
from tests.candles.helpers import instrument
from tests.webhooks.helpers import Sender, account_of, sender_of, user_of


@pytest.fixture(autouse=True)
def _no_remembered_instruments() -> Iterator[None]:
    symbols._known.clear()
    yield
    symbols._known.clear()


@pytest.fixture
def market(db: None) -> Instrument:
    return instrument("BTC/USDT", venue_id="BTCUSDT")


@pytest.fixture
def sender(market: Instrument) -> Sender:
    return sender_of(account_of(user_of()))
