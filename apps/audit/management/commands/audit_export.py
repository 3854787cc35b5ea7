from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit import chain, exporting
from apps.audit.exporting import Part
from apps.audit.files import NewFile, Writable
from apps.events.progress import Progress


def moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date or time of ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_WRITERS: dict[str, Callable[..., int]] = {"jsonl": exporting.write_jsonl, "csv": exporting.write_csv}


class Command(BaseCommand):
    help = "Copy entries of the audit into a file; `audit_verify --file` verifies it anywhere (JSONL only)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", required=True, metavar="FILE", help="a new file, or - for the output")
        parser.add_argument(
            "--since", type=moment, metavar="DATE", help="only what was appended from then on (UTC)"
        )
        parser.add_argument(
            "--until", type=moment, metavar="DATE", help="only what was appended before (UTC)"
        )
        parser.add_argument("--gzip", action="store_true", help="compress the file")
        parser.add_argument("--format", choices=sorted(_WRITERS), default="jsonl", help="default: jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = exporting.part(since=options["since"], until=options["until"])
            if not chosen.count:
                raise CommandError("no entries were appended then")
            self._export(options, chosen)
        except (OSError, chain.HeadMissing, exporting.Incomplete) as exc:
            raise CommandError(str(exc)) from exc

    def _export(self, options: dict[str, Any], chosen: Part) -> None:
        write = _WRITERS[options["format"]]
        progress = Progress(self.stderr.write, "rows", total=chosen.count)
        if options["output"] == "-":
            if options["gzip"]:
                raise CommandError("--gzip is for files: pipe the output through gzip")
            write(self._output(), chosen, progress=progress)
            return
        with NewFile(Path(options["output"]), compress=options["gzip"]) as new:
            count = write(new.file, chosen, progress=progress)
            digest = new.finish()
        self.stdout.write(
            f"{options['output']}: {count:,} rows, {chosen.first} to {chosen.last}, SHA-256 {digest}"
        )

    def _output(self) -> Writable:
        return sys.stdout.buffer
