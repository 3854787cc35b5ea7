"""Sessions of trading workers in the admin: to be found, looked at and declared dead, never edited."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core import context
from apps.core.admin.described import elsewhere, moment, stacked
from apps.core.admin.filters import aged
from apps.core.redaction import redact
from apps.events.registry import event_type
from apps.liveness import selectors, services
from apps.liveness.admin.board import BoardAdmin, ReasonForm, Subject
from apps.liveness.models import WorkerSession
from apps.liveness.populations import Work, work_of_users
from apps.liveness.selectors import Standing
from apps.liveness.states import SessionState
from apps.liveness.workers import TradingWorkers

LIST = "admin:liveness_workersession_changelist"
SESSION = "admin:liveness_workersession_change"
DECLARE_DEAD = "admin:liveness_workersession_declare_sessions_dead"

#: Sessions that are declared dead by one click.
_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is shown of a session beside its row."""

    user: str
    standing: Standing
    #: What runs for the user while the session is active.
    work: Sequence[Work]


def lines(sessions: Sequence[WorkerSession]) -> Mapping[uuid.UUID, Line]:
    """What is shown of sessions, in one request to Redis and a few to the database for all."""
    users = {one.user_id for one in sessions}
    names = get_user_model()._default_manager.in_bulk(users)
    work = work_of_users(sorted({one.user_id for one in sessions if one.state == SessionState.ACTIVE}))
    standings = selectors.standings(sessions)
    return {
        one.pk: Line(
            user=names[one.user_id].get_username()
            if one.user_id in names
            else f"user {one.user_id} (deleted)",
            standing=standings[one.pk],
            work=work[one.user_id] if one.state == SessionState.ACTIVE else (),
        )
        for one in sessions
    }


class HistoryChangeList(ChangeList):
    """A list whose page is looked at as a whole."""

    def get_results(self, request: HttpRequest) -> None:
        """The page's sessions, each with its `Line`."""
        super().get_results(request)
        page = list(self.result_list)
        shown = lines(page)
        for session in page:
            vars(session)["line"] = shown[session.pk]
        self.result_list = page


def _moment(at: datetime | None) -> SafeString | str:
    """To the second; the year stands in the tooltip."""
    return moment(at, "" if at is None else f"{at:%m-%d %H:%M:%S}")


def _line(session: WorkerSession) -> Line:
    return cast(Line, vars(session)["line"])


class StateFilter(admin.SimpleListFilter):
    """Sessions in one state."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in SessionState]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WorkerSession]
    ) -> QuerySet[WorkerSession] | None:
        value = self.value()
        return queryset.filter(state=value) if value in SessionState.values else None


@admin.register(WorkerSession)
class WorkerSessionAdmin(BoardAdmin):
    """The history of trading workers, and one session's page."""

    list_display = ("user_and_worker", "condition", "seen", "started_and_ended", "running")
    comes = "Each time that a user's trading worker starts, a session begins."
    list_filter = (StateFilter, aged("id", "started in the last"))
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "Part of a user's name or of a worker's, or a session's id"
    ordering = ("-id",)
    actions = ("declare_dead",)

    class Media:
        css = {"all": ("liveness/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.declare_sessions_dead_view)
        name = "liveness_workersession_declare_sessions_dead"
        return [path("declare-dead/", view, name=name), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HistoryChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {**(extra_context or {}), "title": "Trading workers' sessions"}
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WorkerSession], search_term: str
    ) -> tuple[QuerySet[WorkerSession], bool]:
        """Sessions whose user's or worker's name contains the term, or whose id it is.

        Users are asked for apart: a join would lose the sessions of those who were deleted.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        model = get_user_model()
        users = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__icontains": term}).values("pk")
        wanted = Q(user__in=users) | Q(worker__icontains=term)
        with suppress(ValueError):
            wanted |= Q(pk=uuid.UUID(term))
        return queryset.filter(wanted), False

    # The list -------------------------------------------------------------------------------------

    @admin.display(description="user, worker")
    def user_and_worker(self, session: WorkerSession) -> SafeString:
        """Whose worker it is or was, and under that what it calls itself."""
        return stacked(_line(session).user, session.worker)

    @admin.display(description="condition, reason")
    def condition(self, session: WorkerSession) -> SafeString:
        """How it stands now, or how it ended, and under that why."""
        condition = _line(session).standing.condition
        return format_html(
            '<span class="badge live-{}{}" title="{}">{}</span><div class="row-under">{}</div>',
            condition, " now" if session.state == SessionState.ACTIVE else "",
            SessionState(session.state).label, condition, session.reason,
        )  # fmt: skip

    @admin.display(description="heard of last (UTC)")
    def seen(self, session: WorkerSession) -> SafeString | str:
        """When the worker was heard of last."""
        return _moment(_line(session).standing.seen_at)

    @admin.display(description="started, ended")
    def started_and_ended(self, session: WorkerSession) -> SafeString:
        """From when to when; nothing under the start: it has not ended."""
        return stacked(_moment(session.started_at), _moment(session.ended_at))

    @admin.display(description="running tasks")
    def running(self, session: WorkerSession) -> str:
        """How many tasks run for the user of an active session."""
        return f"{len(_line(session).work):,}" if session.state == SessionState.ACTIVE else ""

    # One session ----------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One session: how it stands, what runs for its user, and what happened."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        session = self.get_object(request, unquote(object_id))
        if session is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        active = session.state == SessionState.ACTIVE
        return self._page(
            request,
            "session",
            title=f"Session {session.pk}",
            session=session,
            state=SessionState(session.state).label,
            line=lines([session])[session.pk],
            active=active,
            # What a token guards is no secret; what people write may hold one.
            timeline=[
                (event, event_type(event.type).meaning, [(key, redact(value)) for key, value in data.items()])
                for event in selectors.timeline(session)
                for data in [event.current_data()]
            ],
            elsewhere=elsewhere(request, stream=session.stream),
            may_declare_dead=active and self.has_operate_permission(request),
        )

    # Declaring sessions dead ----------------------------------------------------------------------

    @admin.action(description="Declare the selected workers dead …", permissions=["operate"])
    def declare_dead(self, request: HttpRequest, queryset: QuerySet[WorkerSession]) -> HttpResponse | None:
        active = list(queryset.filter(state=SessionState.ACTIVE)[: _MOST + 1])
        if not active:
            self.message_user(request, "All of these are over already.", messages.WARNING)
            return None
        return self._ask_for(request, ReasonForm(), active)

    def declare_sessions_dead_view(self, request: HttpRequest) -> HttpResponse:
        """GET: which sessions, and what would follow. POST: do it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else request.GET
        try:
            ids = [uuid.UUID(one) for one in asked.getlist("session")[:_MOST]]
        except ValueError:
            raise SuspiciousOperation("not the ids of sessions") from None
        sessions = list(selectors.sessions().filter(pk__in=ids))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._declare_dead(request, sessions, form.cleaned_data["reason"])
            return HttpResponseRedirect(_back(ids))
        active = [one for one in sessions if one.state == SessionState.ACTIVE]
        if not active:
            self.message_user(request, "It was over already: nothing was done.", messages.WARNING)
            return HttpResponseRedirect(_back(ids))
        return self._ask_for(request, form, active)

    def _ask_for(
        self, request: HttpRequest, form: ReasonForm, sessions: Sequence[WorkerSession]
    ) -> HttpResponse:
        chosen = sessions[:_MOST]
        shown = lines(chosen)
        subjects = [
            Subject(
                label=shown[one.pk].user,
                url=reverse(SESSION, args=[one.pk]),
                detail=one.worker,
                condition=shown[one.pk].standing.condition,
                seen_at=shown[one.pk].standing.seen_at,
                work=shown[one.pk].work,
            )
            for one in chosen
        ]
        return self.ask_reason(
            request,
            form,
            subjects,
            title=f"Declare dead: {len(chosen)} trading worker{'' if len(chosen) == 1 else 's'}",
            consequence=TradingWorkers.consequence,
            hidden=[("session", str(one.pk)) for one in chosen],
            back=_back([one.pk for one in chosen]),
            action=reverse(DECLARE_DEAD),
            note=f"There are more: {_MOST} can be declared dead at once." if len(sessions) > _MOST else "",
        )

    def _declare_dead(self, request: HttpRequest, sessions: Sequence[WorkerSession], reason: str) -> None:
        with context.bind(actor=f"user:{request.user.pk}"):
            done = sum(services.session_declare_dead(session_id=one.pk, reason=reason) for one in sessions)
        if done:
            self.message_user(request, f"Declared dead: {done} trading worker{'' if done == 1 else 's'}.")
        over = len(sessions) - done
        if over:
            self.message_user(request, f"Over already, and nothing done to them: {over}.", messages.WARNING)


def _back(ids: Sequence[uuid.UUID]) -> str:
    """To the session if it is one, else to all."""
    return reverse(SESSION, args=[ids[0]]) if len(ids) == 1 else reverse(LIST)
