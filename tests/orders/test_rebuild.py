"""Orders and positions can be rebuilt from their events."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from apps.orders.models import Order, Position
from tests.orders.helpers import check, looked, place, submitted

pytestmark = pytest.mark.django_db


def test_rows_that_were_changed_or_lost_are_rebuilt(account, market, broker, capsys):
    for step in ("fill", "half", "lost"):
        broker.script.append(step)
        place(account, market, "2")
    submitted()
    looked()
    rows = list(Order.objects.order_by("pk").values()), list(Position.objects.values())
    call_command("rebuild", "orders", "positions", "--check")
    assert "orders: state equals events" in capsys.readouterr().out
    Order.objects.update(filled=7, reason="x", state="cancelled")
    Position.objects.all().delete()
    with pytest.raises(CommandError, match="differences"):
        call_command("rebuild", "orders", "positions", "--check")
    call_command("rebuild", "orders", "positions")
    assert (list(Order.objects.order_by("pk").values()), list(Position.objects.values())) == rows
    check()
