"""The audit in the admin: to be searched and looked at."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.audit import actions, selectors, tasks
from apps.audit.admin.filters import ActionFilter, OutcomeFilter, PeriodFilter
from apps.audit.models import Entry
from apps.core.admin.described import DescribedAdmin, Tone, badge, moment, stacked
from apps.core.admin.paging import KeysetChangeList

#: Rows of the same request or object that a page of one entry shows.
_RELATED = 20


class Field(NamedTuple):
    """A field of an object before and after: JSON texts, None where there is none."""

    name: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        return self.before != self.after


#: The looks of outcomes.
_TONES = {"succeeded": Tone.GOOD, "refused": Tone.LATE, "failed": Tone.BAD}


@admin.register(Entry)
class EntryAdmin(DescribedAdmin):
    """All entries, newest first, and one entry with what belongs to it."""

    comes = "Logins, writes, changes of keys, orders and signals are entries of one chain."
    list_display = ("when", "what", "by", "on", "ended", "source")
    list_display_links = ("when", "what")
    list_filter = (OutcomeFilter, PeriodFilter, ActionFilter)
    search_fields = ("id",)
    search_help_text = (
        "A whole value: an actor (user:7), an object's key or type:key, an account, request, address or id"
    )
    ordering = ("-sequence",)
    sortable_by = ()
    actions = None
    change_list_template = "admin/audit/list.html"

    class Media:
        css = {"all": ("audit/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.verify_view))
        return [path("verify/", view, name="audit_entry_verify"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).defer("previous_hash", "user_agent", "before", "after", "detail")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entry], search_term: str
    ) -> tuple[QuerySet[Entry], bool]:
        """Whole values only, which indexes answer."""
        term = search_term.strip()
        return (selectors.searched(queryset, term) if term else queryset), False

    def has_verify_permission(self, request: HttpRequest) -> bool:
        """Who may have the chain verified."""
        return bool(request.user.has_perm("audit.add_verification"))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, and above it how the chain stands."""
        context = {
            **(extra_context or {}),
            "title": "Audit",
            "state": selectors.state(),
            "may_verify": self.has_verify_permission(request),
        }
        return super().changelist_view(request, context)

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Have the new part of the chain verified by a worker."""
        if not self.has_verify_permission(request):
            raise PermissionDenied
        run = tasks.verify.apply_async(unique_key="audit.verify")
        address = reverse("admin:tasks_taskrun_change", args=[run.id])
        self.message_user(
            request,
            format_html('The chain is being verified by <a href="{}">a task</a>.', address),
            messages.INFO,
        )
        return HttpResponseRedirect(reverse("admin:audit_entry_changelist"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One entry: what was done, what it changed, and what else belongs to it."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        entry = Entry.objects.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 19 else None
        if entry is None:
            raise Http404(f"There is no entry {object_id} in the chain.")
        return self.page(
            request,
            "admin/audit/entry.html",
            title=f"{actions.label_of(entry.action)} ({entry.sequence})",
            entry=entry,
            badge=badge(entry.outcome, _TONES[entry.outcome]),
            label=actions.label_of(entry.action),
            level=actions.level_of(entry.action).value,
            fields=fields_of(entry),
            detail=_pretty(entry.detail),
            hash=bytes(entry.hash).hex(),
            previous_hash=bytes(entry.previous_hash).hex(),
            same_request=self._related(entry, correlation_id=entry.correlation_id),
            same_object=self._related(entry, object_id=entry.object_id, object_type=entry.object_type),
            request_query=urlencode({"correlation_id": entry.correlation_id}),
            object_query=urlencode({"object_id": entry.object_id, "object_type": entry.object_type}),
            actor_query=urlencode({"actor": entry.actor}),
        )

    def _related(self, entry: Entry, **of: str) -> list[Entry]:
        """The entries nearest to this one, newest first, of which all of this is true."""
        if not all(of.values()):
            return []
        others = Entry.objects.filter(Q(**of) & ~Q(pk=entry.pk)).defer("before", "after", "detail")
        before = list(others.filter(pk__lt=entry.pk).order_by("-sequence")[:_RELATED])
        after = list(others.filter(pk__gt=entry.pk).order_by("sequence")[:_RELATED])
        return [*reversed(after), *before]

    @admin.display(description="when (UTC)")
    def when(self, entry: Entry) -> SafeString | str:
        """To the second; more in the tooltip."""
        return moment(entry.occurred_at)

    @admin.display(description="what")
    def what(self, entry: Entry) -> SafeString:
        """The label, and under it the action."""
        level = actions.level_of(entry.action).value
        label = format_html('<span class="audit-{}">{}</span>', level, actions.label_of(entry.action))
        return stacked(label, entry.action)

    @admin.display(description="by")
    def by(self, entry: Entry) -> SafeString | str:
        """Leads to all that they did."""
        if not entry.actor:
            return ""
        return format_html('<a href="?{}">{}</a>', urlencode({"actor": entry.actor}), entry.actor)

    @admin.display(description="on")
    def on(self, entry: Entry) -> SafeString | str:
        """The object; leads to all that was done to it."""
        if not entry.object_id:
            return entry.object_type
        query = urlencode({"object_type": entry.object_type, "object_id": entry.object_id})
        return stacked(format_html('<a href="?{}">{}</a>', query, entry.object_id), entry.object_type)

    @admin.display(description="outcome")
    def ended(self, entry: Entry) -> SafeString:
        """In its colour."""
        return badge(entry.outcome, _TONES[entry.outcome])

    @admin.display(description="from")
    def source(self, entry: Entry) -> str:
        """Where the request came from."""
        return entry.address or ""


def fields_of(entry: Entry) -> list[Field]:
    """Before and after, field by field where both are objects, or one is and the other is not there."""
    before, after = entry.before, entry.after
    sides = [side for side in (before, after) if side is not None]
    if not sides:
        return []
    if not all(isinstance(side, dict) for side in sides):
        return [Field("", _pretty(before), _pretty(after))]
    before, after = before or {}, after or {}
    return [
        Field(
            name,
            _pretty(before[name]) if name in before else None,
            _pretty(after[name]) if name in after else None,
        )
        for name in dict.fromkeys([*before, *after])
    ]


def _pretty(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
