"""Signals from the request to the run that acts on them, and what is kept of it."""

from __future__ import annotations

import pytest

from apps.tasks.testing import requested

pytestmark = pytest.mark.django_db


def test_smoke(sender, client):
    r = sender.send(client, sender.signal())
    print(r.status_code, r.content)
    assert r.status_code == 202
    print(requested("orders.act_on_signal")[0].kwargs)
