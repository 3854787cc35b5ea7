"""Arguments that several commands share, and whom they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError

from apps.ratelimits import naming
from apps.ratelimits.naming import Nobody, Who

#: Exit statuses besides 0: it would be denied, or was not done; the command line is wrong.
DENIED = NOT_DONE = 1
WRONG = 2


def positive(text: str) -> int:
    """A number from 1."""
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="for machines")


def add_address_and_user(parser: Any) -> None:
    """Add ``--address`` and ``--user``."""
    parser.add_argument("--address", metavar="ADDRESS", help="an IP address, counted as its network is")
    parser.add_argument("--user", metavar="USER", help="a user's name or id")


def address_of(options: Mapping[str, Any]) -> Who | None:
    """Those who are counted with ``--address``, if that was given."""
    return _meant("--address", naming.of_address, options["address"])


def user_of(options: Mapping[str, Any]) -> Who | None:
    """The user of ``--user``, if that was given."""
    return _meant("--user", naming.of_user, options["user"])


def subject_of(text: str | None, argument: str) -> Who | None:
    """The subject of that text, if there is one."""
    return _meant(argument, naming.of_text, text)


def _meant(argument: str, find: Callable[[str], Who], text: str | None) -> Who | None:
    if text is None:
        return None
    try:
        return find(text)
    except Nobody as exc:
        raise CommandError(f"{argument}: {exc}", returncode=WRONG) from None
