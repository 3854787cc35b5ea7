from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit import chain, conf, exporting, pruning
from apps.audit.management.acting import acting
from apps.events.progress import Progress


class Command(BaseCommand):
    help = (
        "Move old entries of the audit out of the database, into a file that is read back and verified before"
        " anything is deleted. The chain can be verified afterwards, and so can the file. Nothing runs this"
        " by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", type=float, metavar="DAYS",
            help="what was appended longer ago (default: AUDIT_RETENTION_DAYS)",
        )  # fmt: skip
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="a new file; compressed if it ends in .gz"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be moved")

    def handle(self, *args: Any, **options: Any) -> None:
        days, span = options["older_than"], conf.retention()
        if days is not None:
            if not 0 <= days < 1e6:
                raise CommandError(f"--older-than: {days} days make no sense")
            span = timedelta(days=days)
        if span is None:
            raise CommandError("say what is old: --older-than DAYS, or AUDIT_RETENTION_DAYS")
        try:
            if options["dry_run"]:
                part = pruning.old(older_than=span)
                which = f" ({part.first} to {part.last})" if part.count else ""
                self.stdout.write(f"{part.count:,} rows could be moved{which}")
                return
            if options["output"] is None:
                raise CommandError("say where to: --output FILE")
            with acting():
                done = pruning.prune(
                    older_than=span,
                    output=options["output"],
                    progress=Progress(self.stderr.write, "rows written"),
                )
        except (OSError, pruning.Refused, exporting.Incomplete, chain.HeadMissing) as exc:
            raise CommandError(str(exc)) from exc
        if done is None:
            self.stdout.write("nothing is that old")
            return
        part = done.part
        self.stdout.write(
            f"{done.file}: {part.count:,} rows, {part.first} to {part.last}, SHA-256 {done.sha256}"
        )
