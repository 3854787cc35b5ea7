from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit import verifying
from apps.audit.files import FileExamination
from apps.audit.management.acting import acting
from apps.audit.verifying import SHOWN, Verified
from apps.audit.walking import Anchor
from apps.events.progress import Progress

_MARK = re.compile(r"([1-9][0-9]{0,18}):([0-9a-f]{64})")

_DESCRIPTION = """\
Follow the audit's chain row by row, and find rows that were changed, exchanged, put in, hashed under another
key or are missing, in the middle and at both ends, and a head that was replaced. Prints the first 20
findings, and ends with status 1 when there are any. Prints the head as sequence:hash. Keep that elsewhere:
given back with --expect, it proves that the chain still has that row, even against somebody who has the key.
"""


def mark(text: str) -> tuple[int, Anchor]:
    found = _MARK.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not sequence:hash, as this command prints it")
    return int(found[1]), Anchor(hash=bytes.fromhex(found[2]), source="as --expect says")


class Command(BaseCommand):
    help = "Prove that nobody has changed the audit, or find where."

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        parser = super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **options)
        parser.description = _DESCRIPTION
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=int, default=1, metavar="SEQ", help="begin with this row")
        parser.add_argument(
            "--file", type=Path, nargs="+", default=[], metavar="FILE",
            help="verify files of audit_export or audit_prune instead, in the order of the chain",
        )  # fmt: skip
        parser.add_argument(
            "--expect", type=mark, action="append", default=[], metavar="SEQ:HASH",
            help="a row's hash as it was printed earlier; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--accept", metavar="REASON",
            help="let the daily verification go on behind the present head, whatever is wrong before it",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="one object of JSON instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        anchors = dict(options["expect"])
        if options["since"] < 1:
            raise CommandError("--since: rows are counted from 1")
        if options["file"]:
            if options["accept"] is not None or options["since"] != 1:
                raise CommandError("--since and --accept are about the database, not about files")
            done, last = self._files(options["file"], anchors)
        else:
            with acting():
                done, last = self._database(options, anchors)
        if options["json"]:
            self.stdout.write(
                json.dumps({"rows": done.rows, "findings": done.findings, "shown": done.shown, "head": last})
            )
        else:
            for line in done.shown:
                self.stdout.write(line)
            if done.findings > SHOWN:
                self.stdout.write(f"and {done.findings - SHOWN:,} more")
            if not done.findings:
                self.stdout.write(f"{done.rows:,} rows, nothing wrong")
            self.stdout.write(last)
        if done.findings and options["accept"] is None:
            raise CommandError(f"{done.findings} findings in {done.rows:,} rows")

    def _database(self, options: dict[str, Any], anchors: dict[int, Anchor]) -> tuple[Verified, str]:
        reason = options["accept"]
        if reason is not None and not reason.strip():
            raise CommandError("--accept: say why")
        # What is expected has to be seen.
        first = min([options["since"], *anchors])
        progress = Progress(self.stderr.write, "rows")
        done = verifying.verify(first=first, expect=anchors, progress=progress)
        if done.head is None:
            return done, ""
        for sequence in anchors:
            if sequence < done.head.pruned_through:
                raise CommandError(
                    f"row {sequence} was pruned: look at the file that it was moved to, with --file --expect"
                )
        if reason is not None and done.findings:
            verifying.accept(verified=done, reason=reason)
        return done, done.head.mark

    def _files(self, paths: list[Path], anchors: dict[int, Anchor]) -> tuple[Verified, str]:
        look = FileExamination(paths, anchors=anchors)
        done = Verified(first=1)
        for finding in look:
            done.findings += 1
            if done.findings <= SHOWN:
                done.shown.append(str(finding))
        done.rows = look.rows
        last = look.last
        return done, f"{last.row.sequence}:{last.hash.hex()}" if last else ""
