"""Publish runs to SQS until stopped."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.core import listener, process
from apps.tasks.relay import Relay


class Command(BaseCommand):
    help = "Publish due runs to SQS until stopped; any number of relays may run."
    # They would import what only the web server needs; `manage.py check` is for a deployment's first step.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        process.begin("relay")
        relay = Relay()
        signal.signal(signal.SIGTERM, relay.stop)
        signal.signal(signal.SIGINT, relay.stop)
        listener.listen(relay)
        relay.run()
