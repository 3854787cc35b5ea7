"""Pages of who used limits and who was denied, and of one subject; and the question before it is reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst

from apps.ratelimits import naming, selectors, services
from apps.ratelimits.admin.operated import OperatedAdmin, actor
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import Result, Unavailable
from apps.ratelimits.naming import Nobody, Who
from apps.ratelimits.rules import Rule
from apps.ratelimits.tally import MOST_DENIALS, Denial

#: Seconds of the lists of consumers that there are, and what they are called.
WINDOWS = {600: "10 minutes", 3600: "1 hour"}
#: Denials that a page shows.
_SHOWN = 100


class PagesAdmin(OperatedAdmin):
    """Adds the pages ``consumers/``, ``denials/``, ``subject/`` and ``reset/``."""

    def get_urls(self) -> list[URLPattern]:
        pages = [
            ("consumers/", self.consumers_view, "consumers"),
            ("denials/", self.denials_view, "denials"),
            ("subject/", self.subject_view, "subject"),
            ("reset/", self.reset_view, "reset"),
        ]
        own = [
            path(where, self.admin_site.admin_view(view), name=f"ratelimits_policychange_{name}")
            for where, view, name in pages
        ]
        return [*own, *super().get_urls()]

    def consumers_view(self, request: HttpRequest) -> HttpResponse:
        """Who used one policy most."""
        self._check_may_look(request)
        rules = _rules()
        rule = next((one for one in rules if one.id == request.GET.get("policy")), None)
        if rule is None and "policy" in request.GET:
            raise Http404("There is no such policy.")
        asked = request.GET.get("window", "")
        window = int(asked) if asked in map(str, WINDOWS) else max(WINDOWS)
        rows, reachable = [], True
        if rule is not None:
            try:
                rows = _consumers(rule, window)
            except Unavailable:
                reachable = False
        return self._shown(
            request,
            "consumers",
            title="Top consumers",
            rules=rules,
            rule=rule,
            windows=WINDOWS,
            window=window,
            rows=rows,
            reachable=reachable,
        )

    def denials_view(self, request: HttpRequest) -> HttpResponse:
        """The latest requests that were denied, or would have been, of one policy or subject or of all."""
        self._check_may_look(request)
        asked = {name: request.GET.get(name, "").strip() for name in ("policy", "subject")}
        subject = _meant(asked["subject"])
        found: list[Denial] = []
        reachable = True
        try:
            found = [
                one
                for one in selectors.denials(most=MOST_DENIALS)
                if asked["policy"] in ("", one.policy) and subject in ("", one.subject)
            ]
        except Unavailable:
            reachable = False
        names = naming.user_names({one.subject for one in found[:_SHOWN]})
        return self._shown(
            request,
            "denials",
            title="Recent denials",
            rules=_rules(),
            asked=asked,
            rows=[
                {"one": one, "at": datetime.fromtimestamp(one.at, tz=UTC), "user": names.get(one.subject, "")}
                for one in found[:_SHOWN]
            ],
            count=len(found),
            most=MOST_DENIALS,
            reachable=reachable,
        )

    def subject_view(self, request: HttpRequest) -> HttpResponse:
        """What one subject has used of every policy."""
        self._check_may_look(request)
        asked = request.GET.get("q", "").strip()
        who, fault = None, ""
        if asked:
            try:
                who = naming.who(asked)
            except Nobody as exc:
                fault = f"{capfirst(str(exc))}."
        usage = _usage(who) if who is not None else []
        return self._shown(
            request,
            "subject",
            title="Look up a subject",
            asked=asked,
            who=who,
            fault=fault,
            usage=usage,
            reachable=usage is not None,
        )

    def reset_view(self, request: HttpRequest) -> HttpResponse:
        """GET: what would be forgotten. POST: forget it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        given: Mapping[str, Any] = request.POST if request.method == "POST" else request.GET
        policy = given.get("policy", "")
        try:
            who = naming.of_text(given.get("subject", ""))
        except Nobody as exc:
            raise Http404(f"Nobody can be meant: {exc}.") from None
        if policy and policy not in {one.id for one in _rules()}:
            raise Http404("There is no such policy.")
        back = f"{reverse('admin:ratelimits_policychange_subject')}?{urlencode({'q': who.subject})}"
        if request.method == "POST":
            self._reset(request, who, policy)
            return HttpResponseRedirect(back)
        usage = _usage(who)
        return self._shown(
            request,
            "reset",
            title=f"Reset {who}",
            who=who,
            policy=policy,
            usage=[one for one in usage or () if policy in ("", one.policy.id)],
            reachable=usage is not None,
            back=back,
        )

    def _reset(self, request: HttpRequest, who: Who, policy: str) -> None:
        try:
            forgotten = services.subject_reset(
                subject=who.subject, policies=[policy] if policy else None, by=actor(request)
            )
        except Unavailable:
            self.message_user(request, "Redis does not answer: nothing was forgotten.", messages.ERROR)
            return
        under = policy or f"{forgotten} polic{'y' if forgotten == 1 else 'ies'}"
        if forgotten:
            self.message_user(request, f"Forgotten what {who} was charged under {under}.")
        else:
            self.message_user(request, f"{who} had nothing to be forgotten.", messages.WARNING)

    def _check_may_look(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _shown(self, request: HttpRequest, name: str, **more: object) -> HttpResponse:
        may_operate = self.has_operate_permission(request)
        template = f"admin/ratelimits/policychange/{name}.html"
        return self.page(request, template, may_operate=may_operate, page=name, **more)


def _meant(text: str) -> str:
    """The subject that an operator names; the text itself, where nobody can be meant."""
    try:
        return naming.who(text).subject if text else ""
    except Nobody:
        return text


def _rules() -> list[Rule]:
    return [rule for group in engine().rules().groups for rule in group.rules]


def _consumers(rule: Rule, window: int) -> list[dict[str, Any]]:
    found = selectors.consumers(rule.id, seconds=window)
    subjects = [one.subject for one in found]
    now = selectors.standings(rule, subjects)
    names = naming.user_names(subjects)
    return [
        {
            "subject": one.subject,
            "user": names.get(one.subject, ""),
            "used": f"{one.used:,}",
            "denied": f"{one.denied:,}",
            "is_denied": one.denied > 0,
            "now": [_standing(plan, result) for plan, result in now[one.subject]],
        }
        for one in found
    ]


def _standing(plan: str, result: Result) -> dict[str, Any]:
    text = f"{result.used:,} of {result.policy.limit:,}"
    return {"plan": plan, "text": text, "full": not result.remaining}


def _usage(who: Who) -> Sequence[Result] | None:
    """Null where Redis gives no answer."""
    try:
        return selectors.usage(who.subject, plan=who.plan)
    except Unavailable:
        return None
