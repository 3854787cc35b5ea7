"""``ratelimits test``: what would become of a request now. Nothing is charged for asking."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.management.base import CommandError

from apps.core.addresses import usual_form
from apps.ratelimits import conf
from apps.ratelimits.cli import arguments
from apps.ratelimits.cli.output import Output
from apps.ratelimits.engine import engine
from apps.ratelimits.gate import cost_of, subject_of
from apps.ratelimits.identity import Identity
from apps.ratelimits.limiter import Charge, Decision, Result, Unavailable
from apps.ratelimits.naming import Who
from apps.ratelimits.overview import rate_text
from apps.ratelimits.rules import By, Group, Mode, Outage, Rule
from apps.ratelimits.rules.ruleset import route_of
from apps.tasks.cli.tables import table

HELP = "what would become of a request now, and why; status 1 where it would be denied"

_WITHOUT_REDIS = {
    Outage.OPEN: "it would be served",
    Outage.CLOSED: "it would be denied (503)",
    Outage.LOCAL: "each process would count by itself",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", metavar="METHOD", type=str.upper, help="as GET")
    parser.add_argument("path", metavar="PATH", help="as /orders/?limit=5")
    arguments.add_address_and_user(parser)
    parser.add_argument("--plan", metavar="PLAN", help="as if the user were in it")
    parser.add_argument("--cost", type=arguments.positive, metavar="N", help="units (as the group says)")
    arguments.add_json(parser)


@dataclass(kw_only=True)
class Part:
    """What one rule has to do with the request."""

    rule: Rule
    plan: str
    subject: str
    #: Why the rule does not apply; empty: it does.
    why_not: str
    #: Null: it does not apply, or Redis does not say.
    result: Result | None = None


@dataclass(kw_only=True)
class Trial:
    """What was found out of a request."""

    cost: int = 1
    group: Group | None = None
    why: str = ""
    parts: list[Part] = field(default_factory=list)
    admitted: bool = True
    #: What becomes of it, in a sentence.
    verdict: str
    retry_after: int | None = None
    #: Whether Redis was asked and gave no answer.
    is_away: bool = False


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Say what would become of it; `CommandError` with status 1 where it would be denied."""
    if not options["path"].startswith("/"):
        raise CommandError(f"PATH: {options['path']!r} does not begin with /", returncode=arguments.WRONG)
    address, user = arguments.address_of(options), arguments.user_of(options)
    plan = options["plan"]
    if plan is not None and user is None:
        raise CommandError("--plan: a plan is a user's: say whose, by --user", returncode=arguments.WRONG)
    identity = Identity()
    if user is not None:
        identity = Identity(user=user.subject, plan=user.plan if plan is None else plan)
    tried = _tried(options, address, identity)
    if options["as_json"]:
        output.json(_document(tried, options, address, identity))
    else:
        _print(tried, options, output)
    if not tried.admitted:
        raise CommandError("it would be denied", returncode=arguments.DENIED)


def _tried(options: Mapping[str, Any], address: Who | None, identity: Identity) -> Trial:
    rules = engine().rules()
    given = usual_form(options["address"].strip()) if address is not None else ""
    if given in rules.denied:
        return Trial(admitted=False, verdict=f"nothing is served to {given} (403)")
    if given in rules.allowed:
        return Trial(verdict=f"{given} is let through: nothing is counted")
    request = _request(options["method"], options["path"])
    group = rules.match(request)
    if group is None:
        return Trial(verdict="no group has it: nothing is counted")
    why = _why(group, request.path_info)
    if group.exempt:
        return Trial(group=group, why=why, verdict="the group is exempt: nothing is counted")
    bucket = address.subject if address is not None and given not in group.exempt_addresses else ""
    tried = Trial(
        cost=options["cost"] or cost_of(group, request),
        group=group,
        why=why,
        parts=[_part(rule, identity, bucket, exempt=address is not None) for rule in group.rules],
        verdict="",
    )
    _ask(tried)
    return tried


def _request(method: str, path: str) -> WSGIRequest:
    where, _, query = path.partition("?")
    return WSGIRequest(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": where.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.input": BytesIO(),
        }
    )


def _why(group: Group, path: str) -> str:
    if group.is_default:
        return "no group before it has it"
    if found := next((prefix for prefix in group.prefixes if path.startswith(prefix)), None):
        return f"its path begins with {found}"
    return f"its route is {route_of(path)}"


def _part(rule: Rule, identity: Identity, bucket: str, *, exempt: bool) -> Part:
    who = subject_of(rule, identity, bucket)
    why_not = ""
    if rule.mode is Mode.OFF:
        why_not = "switched off"
    elif rule.failures:
        why_not = "only for credentials that nothing has verified"
    elif not who:
        why_not = _why_not(rule, identity, exempt=exempt)
    elif rule.policy(identity.plan) is None:
        why_not = f"no limit in the plan {identity.plan}"
    return Part(rule=rule, plan=identity.plan, subject=who, why_not=why_not)


def _why_not(rule: Rule, identity: Identity, *, exempt: bool) -> str:
    match rule.by:
        case By.ADDRESS if rule.anonymous and identity.user:
            return "the user is known"
        case By.ADDRESS:
            return "the address is exempt in this group" if exempt else "no address was given"
        case By.KEY:
            return "made without an API key"
    return "nobody is signed in"


def _ask(tried: Trial) -> None:
    charges = []
    for part in tried.parts:
        policy = None if part.why_not else part.rule.policy(part.plan)
        if policy is not None:
            charges.append(Charge(policy, part.subject))
    if not charges:
        tried.verdict = "no rule applies: nothing is counted"
        return
    assert tried.group is not None
    try:
        decision = engine().limiter.peek(charges, tried.cost)
    except Unavailable:
        tried.is_away = True
        tried.admitted = tried.group.outage is not Outage.CLOSED
        tried.verdict = f"Redis does not answer: {_WITHOUT_REDIS[tried.group.outage]}"
        return
    found = {one.policy.id: one for one in decision.results}
    for part in tried.parts:
        part.result = found.get(part.rule.id)
    tried.admitted, tried.retry_after = decision.allowed, decision.retry_after
    tried.verdict = _verdict(decision)


def _verdict(decision: Decision) -> str:
    if decision.allowed:
        shadows = [one.policy.id for one in decision.results if one.full]
        return f"admitted; {', '.join(shadows)} would deny it" if shadows else "admitted"
    by = ", ".join(one.policy.id for one in decision.denials)
    if decision.retry_after is None:
        return f"denied by {by}: it costs more than is ever left"
    return f"denied by {by}: there is room again in {decision.retry_after:,} s"


def _print(tried: Trial, options: Mapping[str, Any], output: Output) -> None:
    if not conf.enabled():
        output.line("rate limits are switched off (RATELIMITS_ENABLED); if they were on:")
    output.line(f"request: {options['method']} {options['path']}, {tried.cost:,} unit(s)")
    if tried.group is not None:
        output.line(f"group: {tried.group.name}, because {tried.why}")
        if not tried.group.exempt:
            output.line(f"without Redis: {_WITHOUT_REDIS[tried.group.outage]}")
    if tried.parts:
        made = table("policy", "mode", "rate", "subject", "used", "left", "why not", right=("used", "left"))
        for part in tried.parts:
            result = part.result
            made.add_row(
                part.rule.id, part.rule.mode.value, rate_text(part.rule.rate_of(part.plan)), part.subject,
                "" if result is None else f"{result.used:,}",
                "" if result is None else f"{result.remaining:,}",
                part.why_not,
            )  # fmt: skip
        output.table(made)
    output.line(tried.verdict)


def _document(
    tried: Trial, options: Mapping[str, Any], address: Who | None, identity: Identity
) -> dict[str, Any]:
    group = tried.group
    return {
        "enabled": conf.enabled(),
        "method": options["method"],
        "path": options["path"],
        "address": address.subject if address is not None else None,
        "user": identity.user or None,
        "plan": identity.plan,
        "cost": tried.cost,
        "group": group.name if group is not None else None,
        "why": tried.why,
        "outage": group.outage.value if group is not None else None,
        "redis": not tried.is_away,
        "rules": [
            {
                "policy": part.rule.id,
                "mode": part.rule.mode.value,
                "rate": rate_text(part.rule.rate_of(part.plan)),
                "subject": part.subject or None,
                "applies": not part.why_not,
                "why_not": part.why_not,
                "used": None if part.result is None else part.result.used,
                "remaining": None if part.result is None else part.result.remaining,
                "full": None if part.result is None else part.result.full,
            }
            for part in tried.parts
        ],
        "admitted": tried.admitted,
        "verdict": tried.verdict,
        "retry_after": tried.retry_after,
    }
