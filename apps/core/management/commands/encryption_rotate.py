from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import crypto


class Command(BaseCommand):
    help = "Seal all stored secrets under the first of ENCRYPTION_KEYS; afterwards the others are not needed."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for rotated in crypto.rotate():
            self.stdout.write(f"{rotated.column}: {rotated.sealed} sealed anew")
            for key, reason in rotated.broken:
                self.stderr.write(f"{rotated.column} of {key}: {reason}")
            broken += len(rotated.broken)
        if broken:
            raise CommandError(f"{broken} could not be opened and were left as they are")
