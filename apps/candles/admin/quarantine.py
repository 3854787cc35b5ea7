"""The quarantine in the admin: what was not stored and why, to be readmitted, corrected or discarded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.candles import services
from apps.candles.admin.filters import ExchangeFilter, OriginFilter, ReasonFilter
from apps.candles.admin.pages import CandlesAdmin
from apps.candles.files.times import read_times
from apps.candles.models import Candle1m, QuarantinedCandle
from apps.candles.sources import VALUES
from apps.candles.wording import count, decimal, when
from apps.core.admin.described import Subject, Tone, answered, badge, chosen, stacked
from apps.core.admin.filters import aged

State = QuarantinedCandle.State

_TONES = {State.HELD: Tone.LATE, State.READMITTED: Tone.GOOD, State.DISCARDED: Tone.OVER}

#: Stored minutes that are shown beside a candle, before and after it.
_BESIDE = timedelta(minutes=3)
# What stands in the way of a decision. The last is what the store says of times that it does not keep.
_REFUSALS = (
    services.NotHeld, services.NotSound, services.ScaleOverflow, services.BeyondRetention, ValueError,
)  # fmt: skip


class CandleForm(forms.Form):
    """The values of a candle, as text: what is typed is judged by the gate, digit by digit."""

    ts = forms.CharField(label="Open time: ISO 8601, or a number", max_length=40)
    open = forms.CharField(max_length=100)
    high = forms.CharField(max_length=100)
    low = forms.CharField(max_length=100)
    close = forms.CharField(max_length=100)
    volume = forms.CharField(max_length=100)

    def clean_ts(self) -> int:
        """In milliseconds."""
        [time] = read_times([self.cleaned_data["ts"]], None)
        if not isinstance(time, int):
            raise forms.ValidationError(f"No time: {time}")
        return time

    def row(self) -> list[Any]:
        """As the gate takes it."""
        return [self.cleaned_data[name] for name in ("ts", *VALUES)]


def _badge(candle: QuarantinedCandle) -> SafeString:
    return badge(candle.state, _TONES[State(candle.state)], State(candle.state).label)


def _initial(candle: QuarantinedCandle) -> dict[str, str]:
    """The row as it came, as far as it goes."""
    values = dict(zip(("ts", *VALUES), map(str, candle.row), strict=False))
    if candle.ts is not None:
        values["ts"] = f"{candle.ts:%Y-%m-%dT%H:%M:%SZ}" if not candle.ts.microsecond else str(candle.row[0])
    return values


@admin.register(QuarantinedCandle)
class QuarantinedCandleAdmin(CandlesAdmin):
    """Candles that were given to be stored and were not."""

    list_display = ("at", "why", "came", "state_badge")
    comes = "Candles that the quality gate refuses wait here for somebody to decide."
    id_fields = ("pk", "run")
    list_filter = ("state", ReasonFilter, OriginFilter, ExchangeFilter, aged("last_seen", "seen in the last"))
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol", "origin", "message")
    search_help_text = "Part of a symbol, of an origin (a file's name), or of a message"
    ordering = ("-last_seen", "-id")
    sortable_by = ()
    actions = ("readmit", "discard")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one instrument, where its page leads."""
        return lookup == "instrument__id__exact" or super().lookup_allowed(lookup, value, request)

    # The list -------------------------------------------------------------------------------------

    @admin.display(description="open time (UTC), instrument")
    def at(self, candle: QuarantinedCandle) -> SafeString:
        """The time, where the row has one, and under it what it is a candle of."""
        time = f"{candle.ts:%Y-%m-%d %H:%M:%S}" if candle.ts else "none"
        return stacked(time, candle.instrument.text)

    @admin.display(description="reason")
    def why(self, candle: QuarantinedCandle) -> SafeString:
        """The reason, and under it in words."""
        return stacked(candle.reason.replace("_", " "), candle.message[:200])

    @admin.display(description="origin, seen (UTC)")
    def came(self, candle: QuarantinedCandle) -> SafeString:
        """Where it came from, and under that how often and when last."""
        return stacked(candle.origin, f"{count(candle.seen, 'time')}, last at {when(candle.last_seen)}")

    @admin.display(description="state")
    def state_badge(self, candle: QuarantinedCandle) -> SafeString:
        """Held, or what was decided."""
        return _badge(candle)

    # Several at once ------------------------------------------------------------------------------

    @admin.action(description="Readmit the selected candles as they came …", permissions=["operate"])
    def readmit(self, request: HttpRequest, queryset: QuerySet[QuarantinedCandle]) -> HttpResponse | None:
        return self._decide(
            request,
            queryset.exclude(state=State.READMITTED),
            action="readmit",
            title="Readmit as they came",
            consequence="Each of these is judged once more, and stored if it is sound by now, in the place of"
            " what is stored of its minute.",
            deed=lambda candle, actor: services.quarantined_readmit(candle=candle, actor=actor),
            done="readmitted",
        )

    @admin.action(description="Discard the selected candles …", permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[QuarantinedCandle]) -> HttpResponse | None:
        return self._decide(
            request,
            queryset.filter(state=State.HELD),
            action="discard",
            title="Discard",
            consequence="These are worth nothing. They stay listed, and can be readmitted one day.",
            deed=lambda candle, actor: services.quarantined_discard(candle=candle, actor=actor),
            done="discarded",
            grave=True,
        )

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[QuarantinedCandle],
        *,
        action: str,
        title: str,
        consequence: str,
        deed: Callable[[QuarantinedCandle, str], QuarantinedCandle],
        done: str,
        grave: bool = False,
    ) -> HttpResponse | None:
        candles = chosen(queryset.order_by("ts", "id"))
        if not candles:
            self.message_user(request, "Of none of these there is anything to decide.", messages.WARNING)
            return None
        if not answered(request):
            subjects = [Subject(one.pk, _label(one), f"{one.reason}: {one.message}") for one in candles]
            return self.ask(
                request,
                subjects,
                action=action,
                title=f"{title}: {count(len(candles), 'candle')}",
                consequence=consequence,
                button=title,
                grave=grave,
            )
        refused, actor = [], f"user:{request.user.pk}"
        for candle in candles:
            try:
                deed(candle, actor)
            except _REFUSALS as exc:
                refused.append(f"Not {done}: {_label(candle)}: {exc}")
        if len(refused) < len(candles):
            self.message_user(request, f"{count(len(candles) - len(refused), 'candle')} {done}.")
        self.tell_each(request, refused)
        return None

    # One candle -----------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """GET: the row, what is stored around it, and a form to correct it. POST: decide."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        candle = self.get_object(request, unquote(object_id))
        if candle is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        form = CandleForm(initial=_initial(candle))
        if request.method == "POST":
            if not self.has_operate_permission(request):
                raise PermissionDenied
            if "discard" in request.POST:
                if self._done(request, candle, services.quarantined_discard, "discarded"):
                    return HttpResponseRedirect(request.path)
            else:
                form = CandleForm(request.POST, initial=_initial(candle))
                if form.is_valid() and self._readmit(request, candle, form):
                    return HttpResponseRedirect(request.path)
        return self.page(
            request,
            "admin/candles/quarantinedcandle/candle.html",
            title=f"Candle of {_label(candle)}",
            reason=candle.reason.replace("_", " ").capitalize(),
            candle=candle,
            badge=_badge(candle),
            columns=list(zip((*("open time", *VALUES), *["more"] * 12), candle.row, strict=False)),
            beside=_beside(candle),
            form=form,
            may_operate=self.has_operate_permission(request),
            run=reverse("admin:tasks_taskrun_change", args=[candle.run]) if candle.run else "",
        )

    def _readmit(self, request: HttpRequest, candle: QuarantinedCandle, form: CandleForm) -> bool:
        """As it came where nothing was changed, else with the values of the form."""
        row = form.row() if form.has_changed() else None

        def deed(*, candle: QuarantinedCandle, actor: str) -> QuarantinedCandle:
            return services.quarantined_readmit(candle=candle, actor=actor, row=row)

        return self._done(request, candle, deed, "readmitted")

    def _done(
        self,
        request: HttpRequest,
        candle: QuarantinedCandle,
        deed: Callable[..., QuarantinedCandle],
        done: str,
    ) -> bool:
        try:
            deed(candle=candle, actor=f"user:{request.user.pk}")
        except _REFUSALS as exc:
            self.message_user(request, f"Not {done}: {exc}", messages.ERROR)
            return False
        self.message_user(request, f"The candle was {done}.")
        return True


def _label(candle: QuarantinedCandle) -> str:
    return f"{candle.instrument.text} at {f'{candle.ts:%Y-%m-%d %H:%M:%S}' if candle.ts else 'no time'}"


def _beside(candle: QuarantinedCandle) -> list[tuple[str, bool, list[str]]]:
    """What is stored around a candle: time, whether it is the candle's own minute, and values."""
    if candle.ts is None:
        return []
    one = candle.instrument
    scales = {name: one.volume_scale if name == "volume" else one.price_scale for name in VALUES}
    stored = Candle1m.objects.filter(
        instrument=one, ts__gte=candle.ts - _BESIDE, ts__lte=candle.ts + _BESIDE
    ).order_by("ts")
    return [
        (when(bar.ts), bar.ts == candle.ts, [decimal(getattr(bar, name), scales[name]) for name in VALUES])
        for bar in stored
    ]
