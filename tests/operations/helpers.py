"""An installation in which something happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission
from django.utils import timezone

from apps.operations import snapshot, status
from apps.tasks.models import Process


def anew() -> None:
    """As two seconds later."""
    snapshot.forget()
    status.forget()


#: So that it counts as alive for as long as a test may take.
_AHEAD = -600.0


def process(kind: str, *, silent: float = _AHEAD, **fields: Any) -> Process:
    """A process that reported so many seconds ago; one that is alive, unless told."""
    now = timezone.now()
    values = {"name": f"host/{kind}", "host": "host", "pid": 7, "version": "1", "started_at": now, **fields}
    return Process.objects.create(kind=kind, seen_at=now - timedelta(seconds=silent), **values)


def all_kinds() -> None:
    """One of each, alive."""
    for kind in Process.Kind:
        process(kind.value, concurrency=4)


def permitted(user: Any, *names: str) -> Any:
    """The user with permissions such as ``orders.view_order``."""
    for name in names:
        app, _, codename = name.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user
