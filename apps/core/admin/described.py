"""Pages of rows that follow from elsewhere, and questions before deeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from apps.core.admin.paging import BoundedPaginator

#: Rows that something is done to by one click.
MOST = 500
#: Messages of one kind that are shown one by one.
_TOLD = 20


class Subject(NamedTuple):
    """A row that something is about to be done to, as people are shown it."""

    pk: Any
    label: str
    detail: str = ""


class DescribedAdmin(admin.ModelAdmin[Any]):
    """Rows that follow from elsewhere: neither added, edited nor removed here."""

    #: How rows come to be, for whoever sees none.
    comes = ""
    #: Columns of ids: a whole id is looked for in these alone, which their indexes answer.
    id_fields: tuple[str, ...] = ("pk",)
    paginator = BoundedPaginator
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    empty_value_display = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may do what there are buttons for."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By a whole id, or else by words."""
        term = search_term.strip()
        with suppress(ValueError):
            wanted = UUID(term)
            return queryset.filter(reduce(or_, (Q(**{name: wanted}) for name in self.id_fields))), False
        if not term:
            return queryset, False
        return self.search_words(request, queryset, term)

    def search_words(
        self, request: HttpRequest, queryset: QuerySet[Any], term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows that *term*, which is no id, finds; and whether some may be found twice."""
        return super().get_search_results(request, queryset, term)

    def page(self, request: HttpRequest, template: str, **more: object) -> HttpResponse:
        """A page of its own."""
        return TemplateResponse(
            request,
            template,
            {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **more},
        )

    def ask(
        self,
        request: HttpRequest,
        subjects: Sequence[Subject],
        *,
        action: str,
        title: str,
        consequence: str,
        button: str,
        form: forms.Form | None = None,
        grave: bool = False,
    ) -> HttpResponse:
        """The page that asks before an action on rows is done: its answer comes to the same action.

        Of *subjects* more than `MOST` are left out, which the page says.
        """
        return self.page(
            request,
            "admin/core/ask.html",
            title=title,
            consequence=consequence,
            button=button,
            form=form,
            grave=grave,
            action=action,
            checkbox=ACTION_CHECKBOX_NAME,
            subjects=subjects[:MOST],
            more=len(subjects) > MOST,
            most=MOST,
        )

    def tell_each(self, request: HttpRequest, lines: Sequence[str], level: int = messages.WARNING) -> None:
        """A message for each line, and one for the number of those that are left out."""
        for line in lines[:_TOLD]:
            self.message_user(request, line, level)
        if len(lines) > _TOLD:
            self.message_user(request, f"And {len(lines) - _TOLD:,} more like these.", level)


class Place(NamedTuple):
    """A list that has more on something: of the model ``app_model``, with these parameters."""

    page: str
    text: str
    query: dict[str, object]


class LeadingAdmin(admin.ModelAdmin[Any]):
    """Has ``elsewhere`` for the page of a row: links to those of its `places` that the viewer may see."""

    def places(self, row: Any) -> Sequence[Place]:
        """What else there is on *row*. To be given; those with an empty parameter are left out."""
        return ()

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = super().get_object(request, *args, **kwargs)
        if found is not None:
            vars(found)["elsewhere"] = _links(request, self.places(found))
        return found

    @admin.display(description="see also")
    def elsewhere(self, row: Any) -> SafeString:
        """Where else it is met."""
        links: SafeString = vars(row)["elsewhere"]
        return links


class OwnedAdmin(DescribedAdmin):
    """Rows of an owner, deleted by whoever may operate them; each by its service, which cancels what runs.

    To be given a ``delete_model``.
    """

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django asks this, too, before it deletes an owner."""
        return self.has_operate_permission(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # Django's own would delete rows without their service.
        return {name: one for name, one in super().get_actions(request).items() if name != "delete_selected"}


def answered(request: HttpRequest) -> bool:
    """Whether a page that `ask` made was answered."""
    return request.POST.get("answered") == "yes"


def chosen(queryset: QuerySet[Any]) -> list[Any]:
    """The rows that were selected, and one more than can be dealt with if there are too many."""
    return list(queryset[: MOST + 1])


class Tone(StrEnum):
    """How a state looks, whatever it is a state of."""

    GOOD = "good"
    WAIT = "wait"
    LATE = "late"
    BAD = "bad"
    OVER = "over"


def badge(state: str, tone: Tone, meaning: str = "") -> SafeString:
    """A state in its colour, with what it means in the tooltip."""
    return format_html('<span class="badge {}" title="{}">{}</span>', tone, meaning, state.replace("_", " "))


def stacked(first: object, second: object) -> SafeString:
    """A cell of two lines."""
    return format_html('{}<div class="row-under">{}</div>', first, second)


def moment(at: datetime | None, text: str = "") -> SafeString | str:
    """A time in UTC, to the second or as *text* has it; how long ago that is stands in the tooltip."""
    if at is None:
        return ""
    now = timezone.now()
    age = f"{timesince(at, now)} ago" if at <= now else f"in {timeuntil(at, now)}"
    return format_html(
        '<time datetime="{}" title="{} UTC, {}">{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S}",
        age,
        text or f"{at:%Y-%m-%d %H:%M:%S}",
    )


def row_link(page: str, pk: object, text: object) -> SafeString | str:
    """A link to the page of a row of the model ``app_model``; the text alone where there is no such page."""
    try:
        return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), text)
    except NoReverseMatch:
        return str(text)


def list_link(page: str, text: str, **query: object) -> SafeString:
    """A link to the list of a model, named as ``app_model``, with these parameters."""
    address = reverse(f"admin:{page}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(query), text)


def _may_see(request: HttpRequest, page: str) -> bool:
    app, _, model = page.partition("_")
    return any(request.user.has_perm(f"{app}.{deed}_{model}") for deed in ("view", "change"))


def _links(request: HttpRequest, places: Sequence[Place]) -> SafeString:
    """Links to those of *places* that *request*'s user may see, without those that would lead to all rows."""
    shown = [one for one in places if all(one.query.values()) and _may_see(request, one.page)]
    return format_html_join(" · ", "{}", ((list_link(one.page, one.text, **one.query),) for one in shown))


def elsewhere(request: HttpRequest, *, stream: str = "", **audit: object) -> SafeString:
    """Where else something is told: the events of its *stream*, and the audit's entries that *audit* finds.

    What *request*'s user may not see is left out.
    """
    its_events = Place("events_event", "its events", {"q": stream})
    return _links(request, [its_events, *([Place("audit_entry", "in the audit", audit)] if audit else [])])


def run_link(run: UUID, text: str) -> SafeString:
    """A link to the page of a run."""
    return format_html('<a href="{}">{}</a>', reverse("admin:tasks_taskrun_change", args=[run]), text)


def looking(describe: Callable[[list[Any]], None]) -> type[ChangeList]:
    """A list whose page is looked at as a whole: *describe* sets what is shown beside the rows."""

    class WholeChangeList(ChangeList):
        def get_results(self, request: HttpRequest) -> None:
            super().get_results(request)
            page = list(self.result_list)
            describe(page)
            self.result_list = page

    return WholeChangeList
