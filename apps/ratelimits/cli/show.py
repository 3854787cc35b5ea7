"""``ratelimits show``: the rules in force, and what somebody has used of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone
from rich.table import Table

from apps.ratelimits import conf, selectors
from apps.ratelimits.cli import arguments
from apps.ratelimits.cli.output import AWAY, Output, usage_document, usage_table
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import Result, Unavailable
from apps.ratelimits.models import AddressRule
from apps.ratelimits.naming import Who
from apps.ratelimits.overview import Overview, ShownRate, ShownRule, overview, rate_text
from apps.tasks.cli.tables import table

HELP = "the rules in force and where they come from, addresses, and what a subject has used"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--subject", metavar="SUBJECT", help="as user:7, address:203.0.113.7 or everyone:all")
    arguments.add_address_and_user(who)
    arguments.add_json(parser)


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Rules, addresses, and usage where somebody is named. Redis may be away."""
    who = (
        arguments.subject_of(options["subject"], "--subject")
        or arguments.address_of(options)
        or arguments.user_of(options)
    )
    shown = overview()
    usage = _usage(who) if who is not None else None
    if options["as_json"]:
        output.json(_document(shown, who, usage))
        return
    if not conf.enabled():
        output.line("rate limits are switched off (RATELIMITS_ENABLED)")
    output.table(_rules(shown))
    for row in shown.gone:
        output.line(f"{row} was changed, and is not in the settings any more: that changes nothing")
    _print_addresses(output)
    if who is not None and usage:
        output.table(usage_table(usage, f"used by {who}"))
    elif who is not None:
        output.line(AWAY if usage is None else f"{who} has used nothing")


def _usage(who: Who) -> list[Result] | None:
    """Null where Redis gives no answer."""
    try:
        return selectors.usage(who.subject, plan=who.plan)
    except Unavailable:
        return None


def _rules(shown: Overview) -> Table:
    made = table(
        "group", "matches", "rule", "by", "rate", "plans", "mode", "without Redis", "source",
        title="rules in force",
    )  # fmt: skip
    for group in shown.groups:
        matches = "; ".join(group.matches)
        if not group.rules:
            made.add_row(group.group.name, matches, "exempt", "", "", "", "", "", "settings")
        for number, one in enumerate(group.rules):
            made.add_row(
                "" if number else group.group.name,
                "" if number else matches,
                one.rule.name,
                one.by,
                _rate(one.rate),
                ", ".join(f"{plan.plan} {_rate(plan)}" for plan in one.plans),
                _mode(one),
                "" if number else group.group.outage.value,
                _source(one),
            )
    return made


def _rate(rate: ShownRate) -> str:
    return f"{rate.text} (settings: {rate.differs})" if rate.differs else rate.text


def _mode(one: ShownRule) -> str:
    mode = one.rule.mode.value
    return (
        mode if one.rule.mode is one.mode_in_settings else f"{mode} (settings: {one.mode_in_settings.value})"
    )


def _source(one: ShownRule) -> str:
    return "changed" if one.is_changed else "settings"


def _addresses() -> list[dict[str, Any]]:
    config = engine().config
    settings = [
        {
            "network": network,
            "verdict": verdict,
            "until": None,
            "note": "",
            "source": "settings",
            "over": False,
        }
        for verdict, networks in (("allow", config.allowed), ("deny", config.denied))
        for network in networks
    ]
    now = timezone.now()
    rows = AddressRule.objects.values("network", "verdict", "until", "note")
    return settings + [
        {**row, "source": "changed", "over": row["until"] is not None and row["until"] <= now} for row in rows
    ]


def _print_addresses(output: Output) -> None:
    found = _addresses()
    if not found:
        output.line("no addresses are allowed or denied")
        return
    made = table("network", "verdict", "until (UTC)", "note", "source", title="addresses")
    for one in found:
        until = f"{one['until']:%Y-%m-%d %H:%M:%S}" if one["until"] else ""
        made.add_row(
            one["network"], one["verdict"], until, one["note"], "over" if one["over"] else one["source"]
        )
    output.table(made)


def _document(shown: Overview, who: Who | None, usage: Sequence[Result] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "enabled": conf.enabled(),
        "groups": [
            {
                "name": group.group.name,
                "matches": group.matches,
                "exempt": group.group.exempt,
                "outage": group.group.outage.value,
                "rules": [
                    {
                        "policy": one.rule.id,
                        "by": one.rule.by.value,
                        "anonymous": one.rule.anonymous,
                        "failures": one.rule.failures,
                        "rate": _rate_document(one.rate),
                        "plans": {plan.plan: _rate_document(plan) for plan in one.plans},
                        "mode": one.rule.mode.value,
                        "mode_in_settings": one.mode_in_settings.value,
                        "source": _source(one),
                        "denied": one.denied,
                    }
                    for one in group.rules
                ],
            }
            for group in shown.groups
        ],
        "gone": [str(row) for row in shown.gone],
        "addresses": _addresses(),
    }
    if who is not None:
        document["subject"] = who.subject
        document["plan"] = who.plan
        document["usage"] = None if usage is None else usage_document(usage)
    return document


def _rate_document(rate: ShownRate) -> dict[str, Any]:
    return {"rate": rate.text, "in_settings": rate_text(rate.in_settings), "changed": rate.row is not None}
