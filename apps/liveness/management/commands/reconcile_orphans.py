"""Look for orphans now."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import context
from apps.liveness.populations import Kind
from apps.liveness.reconciling import PopulationScan, ScanResult, reconcile_orphans


class Command(BaseCommand):
    help = (
        "Find members without a session, sessions without a mark and marks past their time, and settle them."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument(
            "--force", action="store_true", help="act although most of a population is late at once"
        )
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, dry_run: bool, force: bool, **options: Any) -> None:
        with context.bind(actor="command:reconcile_orphans"):
            result = reconcile_orphans(dry_run=dry_run, force=force)
        if options["json"]:
            self.stdout.write(json.dumps(_document(result), indent=2))
            return
        for one in result.populations:
            self._show(one, dry_run=dry_run)
        verb = "would be settled" if dry_run else "settled"
        acted = result.found if dry_run else result.acted
        self.stdout.write(
            f"{result.members:,} members, {result.found:,} orphans found, {acted:,} {verb}"
            f" in {result.duration:.3f} s"
        )
        if any(one.mass for one in result.populations) and not dry_run:
            raise CommandError("most of a population is late at once: look why, then say --force")

    def _show(self, found: PopulationScan, *, dry_run: bool) -> None:
        kinds = ", ".join(f"{found.found[kind]} {kind.value}" for kind in Kind if found.found[kind])
        self.stdout.write(f"{found.name}: {found.members:,} members, {kinds or 'no orphans'}")
        if found.refused:
            self.stdout.write(self.style.WARNING(f"  left alone: {found.refused}"))
        for orphan in found.orphans:
            silence = "" if orphan.silence is None else f", silent for {orphan.silence.total_seconds():.0f} s"
            self.stdout.write(f"  {orphan.kind.value} {orphan.member}{silence}")


def _document(result: ScanResult) -> dict[str, Any]:
    from apps.liveness.scans import document

    return {
        "duration": result.duration,
        "members": result.members,
        "found": result.found,
        "acted": result.acted,
        "populations": {one.name: document(one) for one in result.populations},
    }
