from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.core import crypto


class Command(BaseCommand):
    help = "Print a new key for ENCRYPTION_KEYS."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(crypto.new_key())
