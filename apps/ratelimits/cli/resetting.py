"""``ratelimits reset``: forget what somebody was charged."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError

from apps.ratelimits import selectors, services
from apps.ratelimits.cli import arguments
from apps.ratelimits.cli.output import Output, usage_table
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import Unavailable
from apps.ratelimits.naming import Who

HELP = "forget what subjects were charged, after a question"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help="as user:7, address:203.0.113.7 or everyone:all"
    )
    arguments.add_address_and_user(parser)
    parser.add_argument(
        "--policy",
        action="append",
        dest="policies",
        metavar="ID",
        help="as orders/user; may be repeated (all)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Show what would be forgotten, ask, and forget it."""
    subjects = _subjects(options)
    policies = _policies(options)
    try:
        for one in subjects:
            _show(one, policies, output)
        if not options["yes"]:
            _confirm(subjects)
        for one in subjects:
            forgotten = services.subject_reset(subject=one.subject, policies=policies)
            output.line(f"{one}: forgotten under {forgotten:,} {'policy' if forgotten == 1 else 'policies'}")
    except Unavailable as exc:
        raise CommandError(
            f"Redis does not answer, and what was not told of is not forgotten: {exc}",
            returncode=arguments.NOT_DONE,
        ) from exc


def _subjects(options: Mapping[str, Any]) -> list[Who]:
    named = [arguments.subject_of(text, "SUBJECT") for text in options["subjects"]]
    named += [arguments.address_of(options), arguments.user_of(options)]
    found = {one.subject: one for one in named if one is not None}
    if not found:
        raise CommandError("say who: SUBJECT, --address or --user", returncode=arguments.WRONG)
    return list(found.values())


def _policies(options: Mapping[str, Any]) -> list[str] | None:
    asked: Sequence[str] | None = options["policies"]
    rules = engine().rules()
    for one in asked or ():
        try:
            rules.rule(one)
        except LookupError:
            known = ", ".join(rule.id for group in rules.groups for rule in group.rules)
            raise CommandError(
                f"--policy: there is no {one!r}; there are {known}", returncode=arguments.WRONG
            ) from None
    return None if asked is None else list(dict.fromkeys(asked))


def _show(who: Who, policies: Sequence[str] | None, output: Output) -> None:
    usage = selectors.usage(who.subject, plan=who.plan)
    found = [one for one in usage if policies is None or one.policy.id in policies]
    if found:
        output.table(usage_table(found, f"used by {who}"))
    else:
        output.line(f"{who} has used nothing")


def _confirm(subjects: Sequence[Who]) -> None:
    if not sys.stdin.isatty():
        raise CommandError("not a terminal to ask on: say --yes", returncode=arguments.WRONG)
    whose = subjects[0] if len(subjects) == 1 else f"these {len(subjects)} subjects"
    if input(f"forget what {whose} used? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was forgotten", returncode=arguments.NOT_DONE)
