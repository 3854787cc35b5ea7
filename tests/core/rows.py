"""A few rows of whatever model there is, made from what its fields say, for pages that list them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone

from apps.core.ids import uuid7
from tests.audit import chaining
from tests.tasks.operating import waiting

_numbers = count(1)

#: What constraints and the pages want of rows, beside what a field says; functions are called for each row.
_MORE: dict[str, dict[str, Any]] = {
    "auth.group": {"name": lambda: f"group {next(_numbers)}"},
    "backtests.backtest": {"instruments": ["binance:BTC/USDT"], "timeframe": "1h", "task_run": uuid7},
    "backtests.sweep": {"instruments": ["binance:BTC/USDT"], "timeframe": "1h", "space": {}, "spec": {}},
    "candles.instrument": {"exchange": "binance", "price_scale": 2, "volume_scale": 3},
    "candles.quarantinedcandle": {"row": [1, 2, 3, 4, 5, 6], "reason": "not_a_number", "ts": timezone.now},
    "liveness.workersession": {"state": "stopped"},
    "notifications.email": {"task_run": uuid7},
    "orders.order": {"kind": "market", "price": None, "state": "filled", "signal": ""},
    "ratelimits.addressrule": {"network": lambda: f"203.0.113.{next(_numbers)}/32"},
    "ratelimits.policychange": {"mode": "", "limit": 5, "window": 60},
    "tasks.bulkoperation": {"selection": {"tasks": ["workload.note"]}, "run_id": uuid7},
    "tasks.deadletter": {"run_id": uuid7},
    "tasks.periodictask": {"interval": 60.0, "crontab": "", "timezone": "UTC"},
    "tasks.process": {"queues": ["default"], "counts": {"finished": 3}},
    "tasks.taskrun": {"args": [], "kwargs": {}, "gate": 0},
    "webhooks.endpoint": {"window_seconds": 300},
}


def make(model: type[models.Model], number: int) -> Sequence[models.Model]:
    """So many rows of *model*, with rows of others that they refer to."""
    label = model._meta.label_lower
    if label in _BY_SERVICES:
        _BY_SERVICES[label](number)
        return list(model._default_manager.order_by("pk")[:number])
    made = [_row(model) for _ in range(number)]
    return model._default_manager.bulk_create(made)


def _users(number: int) -> None:
    manager = get_user_model()._default_manager
    group, _ = Group.objects.get_or_create(name="operators")
    for _ in range(number):
        manager.create_user(f"user{next(_numbers)}", password=None).groups.add(group)


_BY_SERVICES: dict[str, Callable[[int], object]] = {
    "audit.entry": chaining.grow,
    "events.event": waiting,
    "auth.user": _users,
}


def _row(model: type[models.Model]) -> models.Model:
    more = _MORE.get(model._meta.label_lower, {})
    values = {}
    for field in model._meta.concrete_fields:
        if field.name in more:
            given = more[field.name]
            values[field.name] = given() if callable(given) else given
        elif not (field.has_default() or field.null or isinstance(field, models.AutoField)):
            values[field.name] = _value(field)
    return model(**values)


def _value(field: models.Field[Any, Any]) -> Any:
    """One that the field takes, and that no row has yet, as far as its type goes."""
    number = next(_numbers)
    if isinstance(field, models.ForeignKey):
        related = field.related_model
        assert not isinstance(related, str)
        return make(related, 1)[0]
    if field.choices:
        return field.flatchoices[0][0]
    if isinstance(field, models.DateTimeField):
        return timezone.now() + timedelta(seconds=number)
    for kind, value in (
        (models.UUIDField, uuid7()),
        (models.DecimalField, Decimal(number)),
        (models.FloatField, float(number)),
        (models.BooleanField, False),
        (models.IntegerField, number),
        (models.JSONField, {}),
        (models.BinaryField, b"\0" * 32),
        (models.EmailField, f"row{number}@example.com"),
        (models.DurationField, timedelta(seconds=number)),
        (models.GenericIPAddressField, "192.0.2.1"),
    ):
        if isinstance(field, kind):
            return value
    return f"{field.name}{number}"[-(field.max_length or 100) :]
