from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.test import Client


@pytest.mark.django_db
def test_the_api_says_where_everything_is(client: Client):
    places = client.get("/api/v1/").json()
    assert set(places) == {
        "docs", "schema", "login", "me", "keys", "instruments", "candles", "backfills", "backtests", "sweeps",
        "strategies", "accounts", "orders", "positions", "fills", "tasks", "periodic", "workers", "emails",
        "preferences", "audit", "webhooks",
    }  # fmt: skip
    for place in places.values():
        # Reachable, be it with credentials, parameters or another method.
        assert client.get(urlsplit(place).path).status_code in (200, 400, 401, 405), place
