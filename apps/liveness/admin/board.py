"""The board of who is alive now, and the deeds that start from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import capfirst

from apps.core import context
from apps.core.admin.described import DescribedAdmin
from apps.liveness import populations, selectors
from apps.liveness.leases import Unavailable
from apps.liveness.models import Scan
from apps.liveness.populations import Population, Work
from apps.liveness.reconciling import reconcile_orphans
from apps.liveness.selectors import Roll

logger = logging.getLogger(__name__)

NOW = "admin:liveness_workersession_now"
_SCANS = 10


def title_of(name: str) -> str:
    """What people call a population; scans may name one that is none any more."""
    try:
        return populations.population(name).title
    except KeyError:
        return capfirst(name)


class ReasonForm(forms.Form):
    """Why something that may be alive is declared dead."""

    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"size": 60, "autofocus": True, "class": "vTextField"})
    )


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Somebody who is about to be declared dead, as people are shown it."""

    label: str
    url: str = ""
    detail: str = ""
    condition: str = ""
    #: When it was heard of last; None: that is not known.
    seen_at: datetime | None = None
    work: Sequence[Work] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A population on the board."""

    title: str
    roll: Roll
    #: When the set was last complete by a rebuild; None: it never was, or Redis does not say.
    rebuilt_at: datetime | None


class BoardAdmin(DescribedAdmin):
    """Adds the page ``now/``, and below it those that ask before something is done."""

    def get_urls(self) -> list[URLPattern]:
        pages = [
            ("now/", self.now_view, "now"),
            ("now/declare-dead/", self.declare_dead_view, "declare_dead"),
            ("now/reconcile/", self.reconcile_view, "reconcile"),
        ]
        own = [
            path(where, self.admin_site.admin_view(view), name=f"liveness_workersession_{name}")
            for where, view, name in pages
        ]
        return [*own, *super().get_urls()]

    def now_view(self, request: HttpRequest) -> HttpResponse:
        """All populations, and what the last looks for orphans came to."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        scans = list(selectors.scans()[:_SCANS])
        return self._page(
            request,
            "now",
            title="Workers now",
            at=now,
            columns=[_column(roll, now) for roll in selectors.rolls()],
            scans=scans,
            left_alone=_left_alone(scans),
            may_operate=self.has_operate_permission(request),
            may_see_scans=request.user.has_perm("liveness.view_scan"),
            refresh=request.GET.get("refresh") == "on",
        )

    # Declaring a member dead ----------------------------------------------------------------------

    def declare_dead_view(self, request: HttpRequest) -> HttpResponse:
        """GET: who it is and what would follow. POST: do it.

        Who has followed the one that was shown is left alone.
        """
        if not self.has_operate_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else request.GET
        member = asked.get("member", "")
        try:
            population = populations.population(asked.get("population", ""))
        except KeyError:
            raise Http404("There is no such population.") from None
        token = population.current([member]).get(member)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if token is None or (request.method == "POST" and asked.get("token") != str(token)):
            self.message_user(request, "It was over already: nothing was done.", messages.WARNING)
            return HttpResponseRedirect(reverse(NOW))
        subject = _subject(population, member, token)
        if form.is_valid():
            with context.bind(actor=f"user:{request.user.pk}"):
                done = population.declare_dead(member, form.cleaned_data["reason"])
            self.tell(request, subject.label, done=done)
            return HttpResponseRedirect(reverse(NOW))
        hidden = [("population", population.name), ("member", member), ("token", str(token))]
        return self.ask_reason(
            request,
            form,
            [subject],
            title=f"{population.title}: declare dead {subject.label}",
            consequence=population.consequence,
            hidden=hidden,
            back=reverse(NOW),
        )

    def ask_reason(
        self,
        request: HttpRequest,
        form: ReasonForm,
        subjects: Sequence[Subject],
        *,
        title: str,
        consequence: str,
        hidden: Sequence[tuple[str, str]],
        back: str,
        action: str = "",
        note: str = "",
    ) -> HttpResponse:
        """The page that asks for the reason; *action* is where the answer goes, if not here."""
        return self._page(
            request,
            "declare_dead",
            title=title,
            form=form,
            subjects=subjects,
            consequence=consequence,
            hidden=hidden,
            back=back,
            action=action,
            note=note,
        )

    def tell(self, request: HttpRequest, label: str, *, done: bool) -> None:
        """Say what came of a declaration."""
        if done:
            self.message_user(request, f"Declared dead: {label}.")
        else:
            self.message_user(request, f"{label}: it was over already, nothing was done.", messages.WARNING)

    # Looking for orphans --------------------------------------------------------------------------

    def reconcile_view(self, request: HttpRequest) -> HttpResponse:
        """POST: look for orphans now. GET: what it would mean to do so although most are late at once."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            self._reconcile(request, force=request.POST.get("force") == "on")
            return HttpResponseRedirect(reverse(NOW))
        scan = selectors.scans().first()
        left_alone = _left_alone([] if scan is None else [scan])
        if scan is None or not left_alone:
            self.message_user(request, "No population is left alone because most of it was late at once.")
            return HttpResponseRedirect(reverse(NOW))
        return self._page(
            request,
            "reconcile",
            title="Settle orphans although most are late at once",
            scan=scan,
            left_alone=left_alone,
        )

    def _reconcile(self, request: HttpRequest, *, force: bool) -> None:
        try:
            with context.bind(actor=f"user:{request.user.pk}"):
                result = reconcile_orphans(force=force)
        except Exception as exc:
            # Raised at the end, when the other populations were looked at and the scan is recorded.
            logger.exception("a look for orphans went wrong in part")
            self.message_user(request, f"In part it went wrong: {type(exc).__name__}: {exc}", messages.ERROR)
            return
        self.message_user(
            request,
            f"Looked at {result.members:,} members in {1000 * result.duration:.0f} ms:"
            f" {result.found:,} orphans, {result.acted:,} settled.",
        )
        for one in result.populations:
            if one.refused:
                self.message_user(
                    request, f"{title_of(one.name)} left alone: {one.refused}.", messages.WARNING
                )

    def _page(self, request: HttpRequest, name: str, **more: object) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/liveness/workersession/{name}.html",
            {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **more},
        )


def _column(roll: Roll, now: datetime) -> Column:
    booted = None if roll.counts is None else roll.counts.booted
    return Column(
        title=title_of(roll.name),
        roll=roll,
        rebuilt_at=None if booted is None else now - timedelta(seconds=booted),
    )


def _left_alone(scans: Sequence[Scan]) -> Mapping[str, Mapping[str, object]]:
    """What the latest of *scans* has left alone because most of it was late at once, by title."""
    found = scans[0].populations if scans else {}
    return {title_of(name): one for name, one in found.items() if one.get("mass")}


def _subject(population: Population, member: str, token: int) -> Subject:
    description = population.describe([member]).get(member)
    leases = population.leases
    condition, seen_at = "", None
    try:
        [(mark, _)] = leases.look([(member, token)])
        condition = "unmarked" if mark is None else selectors.condition(leases.timing, mark.age)
        seen_at = None if mark is None else timezone.now() - timedelta(seconds=mark.age)
    except Unavailable:
        # It can be declared dead all the same; the database decides.
        pass
    if description is None:
        return Subject(label=member, condition=condition, seen_at=seen_at)
    return Subject(
        label=description.label,
        url=description.url,
        detail=description.detail,
        condition=condition,
        seen_at=seen_at,
        work=description.work,
    )
