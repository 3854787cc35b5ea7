"""Several instruments in one account, and orders filled on finer bars."""

from __future__ import annotations

import pytest

from tests.backtests.helpers import DAYS, body, finished, market, post, trades

pytestmark = pytest.mark.django_db


def test_several_instruments_share_one_account(api, stored):
    names = [market("ETH/USDT", seed=8), stored]
    answer = finished(api, body(stored, instrument=None, instruments=names, sizing={"value": 0.4}))
    assert (answer["instrument"], answer["instruments"]) == (None, names)
    found = trades(api, answer, limit=1000)
    assert {one["instrument"] for one in found} == set(names)
    alone = finished(api, body(stored, sizing={"value": 0.4}))
    entries = {one["entry_time"] for one in trades(api, alone, limit=1000)}
    assert entries
    assert entries <= {one["entry_time"] for one in found if one["instrument"] == stored}
    again = post(api, body(stored, instrument=None, instruments=names, sizing={"value": 0.4})).json()
    assert again["reused"] is True
    assert trades(api, again, limit=1000) == found
    # The order of the names is the order in which entries are paid for.
    other = post(api, body(stored, instrument=None, instruments=names[::-1], sizing={"value": 0.4}))
    assert other.status_code == 202


def test_each_instrument_is_looked_at_for_gaps(api, stored):
    short = market("ETH/USDT", days=DAYS - 1)
    refused = post(api, body(stored, instrument=None, instruments=[stored, short])).json()
    assert refused["missing_minutes"] == 1440
    assert [gap["instrument"] for gap in refused["gaps"]] == [short]


def test_orders_are_filled_on_finer_bars(api, stored):
    plain = finished(api, body(stored, timeframe="4h", params={"fast": 2, "slow": 4}))
    fine = finished(
        api, body(stored, timeframe="4h", params={"fast": 2, "slow": 4}, execution={"detail": "1m"})
    )
    assert fine["result"]["bars"] == DAYS * 1440
    assert fine["result"]["fingerprint"] != plain["result"]["fingerprint"]
    assert fine["result"]["data_fingerprint"] != plain["result"]["data_fingerprint"]
    entries = [one["entry_time"] for one in trades(api, plain)]
    assert entries
    assert set(entries) == {one["entry_time"] for one in trades(api, fine)}
