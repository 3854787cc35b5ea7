"""The index of somebody's own reports: the newest backtests and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.backtests import conf, selectors
from apps.backtests.models import Backtest
from apps.backtests.report import access
from apps.backtests.report.sweeps import document
from apps.backtests.sweeps import selectors as sweeps
from apps.backtests.sweeps.models import Sweep

#: Of each kind, the newest.
_LISTED = 50
#: State -> the tone of its badge.
_TONES = {"succeeded": "good", "running": "wait", "queued": "wait", "dead": "bad"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One backtest or sweep."""

    id: str
    url: str
    title: str
    about: str
    state: str
    tone: str
    #: How far it is: ``12 of 40``; empty where nothing is said.
    done: str
    #: The return in per cent with its sign, and whether it is a gain or a loss; empty without a result.
    gain: str
    direction: str
    created_at: datetime


@require_safe
@login_required
def reports(request: HttpRequest) -> HttpResponse:
    """The newest of one's own, also for staff. ``?compare=`` given twice or more leads to the comparison."""
    chosen = request.GET.getlist("compare")
    if len(chosen) > 1:
        return HttpResponseRedirect(reverse("backtest-compare-page", query={"ids": ",".join(chosen)}))
    context = {
        "backtests": _backtests(request.user.pk),
        "sweeps": _sweeps(request.user.pk),
        "listed": _LISTED,
        "most": conf.max_compared(),
        "alone": len(chosen) == 1,
    }
    response = render(request, "backtests/listing.html", context)
    response["Cache-Control"] = "private, no-store"
    return response


def _backtests(owner: Any) -> list[Row]:
    found = list(selectors.with_results(Backtest.objects.filter(owner=owner).order_by("-id"))[:_LISTED])
    standing = selectors.statuses(found)
    return [_backtest(one, standing[one.pk]) for one in found]


def _backtest(one: Backtest, status: selectors.Status) -> Row:
    gain = None if one.result is None else one.result.metrics.get("return_pct")
    return Row(
        id=str(one.pk),
        url=reverse("backtest-report", args=[one.pk]),
        title=access.title(one),
        about=access.about(one),
        state=str(status.state),
        tone=_TONES.get(status.state, ""),
        done=f"{status.phase} {100 * status.done // status.total} %" if status.phase and status.total else "",
        gain="" if gain is None else f"{gain:+,.2f} %",
        direction="" if not gain else "up" if gain > 0 else "down",
        created_at=one.created_at,
    )


def _sweeps(owner: Any) -> Sequence[Row]:
    found = list(Sweep.objects.filter(owner=owner).defer("summary").order_by("-id")[:_LISTED])
    standing = sweeps.statuses(found)
    return [
        Row(
            id=str(one.pk),
            url=reverse("sweep-report", args=[one.pk]),
            title=document.title_of(one),
            about=document.about(one),
            state=str(standing[one.pk].state),
            tone=_TONES.get(standing[one.pk].state, ""),
            done=f"{standing[one.pk].done:,} of {standing[one.pk].total:,}",
            gain="",
            direction="",
            created_at=one.created_at,
        )
        for one in found
    ]
