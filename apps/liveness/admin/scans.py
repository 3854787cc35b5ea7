"""Looks for orphans in the admin: to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, moment
from apps.core.admin.filters import aged, yes_or_no
from apps.liveness import populations
from apps.liveness.admin.board import title_of
from apps.liveness.models import Scan
from apps.liveness.populations import Kind
from apps.liveness.workers import TradingWorkers

SESSIONS = "admin:liveness_workersession_changelist"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one look found in one population."""

    name: str
    title: str
    members: int
    #: Of each kind: its name, its meaning, how many were found and how many of them settled.
    kinds: Sequence[tuple[str, str, int, int]]
    #: Why it was left alone; empty: it was not.
    refused: str
    #: Some of them: label, url, kind, silence.
    orphans: Sequence[Mapping[str, Any]]


class FoundFilter(admin.SimpleListFilter):
    """Looks that found something, or nothing."""

    title = parameter_name = "found"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("something", "something"), ("nothing", "nothing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scan]) -> QuerySet[Scan] | None:
        if self.value() == "something":
            return queryset.filter(found__gt=0)
        return queryset.filter(found=0) if self.value() == "nothing" else None


@admin.register(Scan)
class ScanAdmin(DescribedAdmin):
    """What each look for orphans came to."""

    comes = "Beat has orphans looked for every few seconds; each look is a row."
    list_display = ("when", "milliseconds", "members", "found", "settled", "left_alone")
    list_filter = (
        FoundFilter,
        yes_or_no("refused", "left something alone", refused__gt=""),
        aged("id", "in the last"),
    )
    sortable_by = ()
    ordering = ("-id",)

    class Media:
        css = {"all": ("liveness/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scan]:
        return super().get_queryset(request).defer("populations")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "title": "Looks for orphans"})

    @admin.display(description="at (UTC)")
    def when(self, scan: Scan) -> SafeString | str:
        """To the second."""
        return moment(scan.at)

    @admin.display(description="took (ms)")
    def milliseconds(self, scan: Scan) -> str:
        """How long it took."""
        return f"{1000 * scan.duration:,.1f}"

    @admin.display(description="settled")
    def settled(self, scan: Scan) -> int:
        """How many of the found were acted on."""
        return scan.acted

    @admin.display(description="left alone")
    def left_alone(self, scan: Scan) -> str:
        """Which populations it refused to act on, and why."""
        return scan.refused

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One look: what it found in each population, and some of whom."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        scan = self.get_object(request, unquote(object_id))
        if scan is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        return TemplateResponse(
            request,
            "admin/liveness/scan/scan.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "title": f"Look for orphans at {scan.at:%Y-%m-%d %H:%M:%S} UTC",
                "scan": scan,
                "parts": _parts(scan),
            },
        )


def _parts(scan: Scan) -> list[Part]:
    """In the order in which populations are looked at, which the database does not keep in JSON objects."""
    known = [one.name for one in populations.everyone()]
    names = [name for name in known if name in scan.populations]
    # Of a population that there is no more.
    names += sorted(scan.populations.keys() - known)
    return [_part(name, scan.populations[name]) for name in names]


def _kind(value: str) -> tuple[str, str]:
    """The name of a kind of orphans, and its meaning."""
    name, _, meaning = dict(Kind.choices).get(value, value).partition(": ")
    return name, meaning


def _part(name: str, found: Mapping[str, Any]) -> Part:
    return Part(
        name=name,
        title=title_of(name),
        members=found["members"],
        kinds=[
            (*_kind(kind), count, found["acted"].get(kind, 0))
            for kind, count in sorted(found["found"].items())
        ],
        refused=found["refused"],
        orphans=[
            {**one, "kind": _kind(one["kind"])[0], **_named(name, one["member"])} for one in found["orphans"]
        ],
    )


def _named(population: str, member: str) -> Mapping[str, str]:
    """What an orphan is called, and where its history is shown."""
    if population != TradingWorkers.name or not member.isdigit():
        return {"label": member, "url": ""}
    return {"label": f"user {member}", "url": f"{reverse(SESSIONS)}?{urlencode({'user': member})}"}
