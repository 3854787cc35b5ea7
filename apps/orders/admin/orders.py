"""Orders in the admin: how they stand, what happened to them, and what people decide."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.core.admin.described import (
    DescribedAdmin,
    Subject,
    answered,
    chosen,
    elsewhere,
    row_link,
    stacked,
)
from apps.core.admin.exporting import csv_of
from apps.core.admin.filters import aged
from apps.orders import selectors, services
from apps.orders.admin.placing import PlaceForm
from apps.orders.admin.shown import EXCHANGE, ModeFilter, amount, at, link, mode, state_badge, traded_by
from apps.orders.models import Order
from apps.orders.reasons import REASONS
from apps.orders.resolving import RESOLUTIONS
from apps.orders.states import ENDED, State
from apps.tasks.models import TaskRun

# Runs of an order that its page lists, the last first.
_RUNS = 20
_REFUSALS = (services.WrongState, services.InvalidOrder)


class StateFilter(admin.SimpleListFilter):
    """Orders that stand so."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "not ended"), *((state.value, state.value.replace("_", " ")) for state in State)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() == "open":
            return queryset.exclude(state__in=ENDED)
        return queryset.filter(state=self.value()) if self.value() in State.values else None


class ResolveForm(forms.Form):
    """What a person has found out."""

    outcome = forms.ChoiceField(choices=[(state.value, state.label) for state in RESOLUTIONS])
    price = forms.DecimalField(
        label="Price of what was traded beside the recorded trades, if it was filled",
        max_digits=38,
        decimal_places=18,
        required=False,
    )
    note = forms.CharField(label="How that is known", max_length=1000, required=False)


#: Events that an order's page shows, the last ones.
_EVENTS = 200


@admin.register(Order)
class OrderAdmin(DescribedAdmin):
    """Orders and what becomes of them."""

    list_display = ("what", "state_badge", "traded", "whose", "asked", "why")
    comes = "Orders come from signals to endpoints, from requests of users, or from here."
    list_filter = (
        StateFilter, ModeFilter, aged("created_at", "asked for in the last"), EXCHANGE, "side", "kind",
        "intent", "source",
    )  # fmt: skip
    list_select_related = ("account__user", "instrument")
    sortable_by = ()
    ordering = ("-created_at", "-id")
    search_fields = ("id",)
    search_help_text = (
        "An order's or a delivery's id, the broker's id of it, a reason's code, or part of a symbol, an"
        " account's or a user's name"
    )
    actions = ("cancel", "look_again", "resolve", "export")
    export = csv_of(
        "id", "created_at", "account", "instrument", "side", "kind", "quantity", "price", "state", "filled",
        "average_price", "cost", "reason_code", "ended_at", "simulation", "source",
    )  # fmt: skip

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one account, where its page leads."""
        return lookup == "account__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """By what it may be, each of which is looked for by itself."""
        term = search_term.strip()
        if not term:
            return queryset, False
        with suppress(ValueError):
            return queryset.filter(Q(pk=UUID(term)) | Q(client_order_id=term) | Q(source_id=term)), False
        found = Q(client_order_id=term) | Q(venue_order_id=term) | Q(source_id=term)
        return queryset.filter(found | Q(reason_code__startswith=term) | traded_by(term)), False

    # Placing --------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.add_order"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET: the form. POST: place it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PlaceForm(request.POST or None, site=self.admin_site)
        order = form.place(by=f"user:{request.user.pk}") if form.is_valid() else None
        if order is None:
            return self.page(
                request,
                "admin/orders/order/place.html",
                title="Place an order",
                form=form,
                media=self.media + form.media,
            )
        rejected = order.state == State.REJECTED
        said = f"It was rejected: {order.reason}" if rejected else "It is on its way."
        self.message_user(request, said, messages.WARNING if rejected else messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order.pk]))

    # The list -------------------------------------------------------------------------------------

    @admin.display(description="order")
    def what(self, order: Order) -> SafeString:
        """What is to be traded, and under it for what."""
        limit = f" at {amount(order.price)}" if order.price is not None else ""
        head = f"{order.side} {amount(order.quantity)} {order.instrument.text}{limit}"
        return stacked(head, f"{order.kind}, {order.signal or order.intent}, {mode(order.simulation)}")

    @admin.display(description="state")
    def state_badge(self, order: Order) -> SafeString:
        """How it stands, and under it since when it is verified, or how often it was looked at."""
        if order.verified_at is not None:
            return stacked(state_badge(order.state), "verified")
        looked = f"{order.looks} look{'' if order.looks == 1 else 's'}" if order.looks else ""
        return stacked(state_badge(order.state), "cancelling" if order.cancel_requested else looked)

    @admin.display(description="traded, average")
    def traded(self, order: Order) -> SafeString | str:
        """How much, and under it at what price."""
        return stacked(amount(order.filled), amount(order.average_price)) if order.filled else ""

    @admin.display(description="account, user")
    def whose(self, order: Order) -> SafeString:
        """The account, and under it whose it is."""
        return stacked(link("account", order.account_id, order.account.name), order.account.user)

    @admin.display(description="asked for, ended (UTC)")
    def asked(self, order: Order) -> SafeString:
        """When."""
        return stacked(at(order.created_at), at(order.ended_at))

    @admin.display(description="reason")
    def why(self, order: Order) -> SafeString | str:
        """The code, and under it the words."""
        return stacked(order.reason_code, order.reason[:120]) if order.reason_code else ""

    # Deeds ----------------------------------------------------------------------------------------

    @admin.action(description="Cancel the selected orders …", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._do(
            request,
            queryset.exclude(state__in=ENDED),
            action="cancel",
            title="Cancel",
            consequence="What no broker has is cancelled at once. Of the rest the broker is asked; what was"
            " traded before stays traded.",
            deed=services.order_cancel,
        )

    @admin.action(description="Look at the selected orders again …", permissions=["operate"])
    def look_again(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._do(
            request,
            queryset,
            action="look_again",
            title="Look again",
            consequence="The broker is asked at once what became of these, and as often as for new ones.",
            deed=services.order_look_again,
        )

    @admin.action(description="Resolve the selected orders …", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._do(
            request,
            queryset.filter(state=State.NEEDS_REVIEW),
            action="resolve",
            title="Resolve",
            consequence="These count as ended so, and are not looked at again. What is held changes by what"
            " was filled.",
            deed=services.order_resolve,
            form=ResolveForm,
        )

    def _do(
        self,
        request: HttpRequest,
        queryset: QuerySet[Order],
        *,
        action: str,
        title: str,
        consequence: str,
        deed: Callable[..., Order],
        form: type[forms.Form] | None = None,
    ) -> HttpResponse | None:
        orders = chosen(queryset.select_related("account__user", "instrument"))
        if not orders:
            self.message_user(request, f"{title}: there is nothing to do for these.", messages.WARNING)
            return None
        filled = form(request.POST) if form is not None and answered(request) else None
        if not answered(request) or (filled is not None and not filled.is_valid()):
            subjects = [Subject(one.pk, str(one), f"{one.state}, {one.account.name}") for one in orders]
            return self.ask(
                request,
                subjects,
                action=action,
                title=f"{title}: {len(orders)} order{'' if len(orders) == 1 else 's'}",
                consequence=consequence,
                button=title,
                form=filled or (form() if form is not None else None),
                grave=action != "look_again",
            )
        given = filled.cleaned_data if filled is not None else {}
        refused = []
        for order in orders:
            try:
                deed(order=order, by=f"user:{request.user.pk}", **given)
            except _REFUSALS as exc:
                refused.append(f"{order}: {exc}")
        if len(refused) < len(orders):
            self.message_user(request, f"{title}: done for {len(orders) - len(refused)}.")
        self.tell_each(request, refused)
        return None

    # One order ------------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How one order stands, what was traded, everything that happened, and what can be done."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        order = selectors.orders(user=request.user).select_related("after").get(pk=found.pk)
        earlier = max(0, order.version - _EVENTS)
        return self.page(
            request,
            "admin/orders/order/order.html",
            title=f"Order {order.pk}",
            order=order,
            badge=state_badge(order.state),
            mode=mode(order.simulation),
            amounts={
                name: amount(getattr(order, name))
                for name in ("quantity", "price", "filled", "average_price", "cost")
            },
            meaning=REASONS.get(order.reason_code, ""),
            fills=[
                (fill, amount(fill.price), amount(fill.quantity), amount(fill.fee))
                for fill in order.fills.order_by("traded_at", "pk")
            ],
            timeline=selectors.timeline(order, after=earlier),
            earlier=earlier,
            entries=Order.objects.filter(after=order),
            runs=_runs(order),
            elsewhere=elsewhere(request, stream=order.stream, q=order.pk),
            source=row_link("webhooks_delivery", order.source_id, order.source_id)
            if order.source == Order.Source.WEBHOOK
            else order.source_id,
            deeds=_deeds(order) if self.has_operate_permission(request) else [],
        )


def _deeds(order: Order) -> list[tuple[str, str]]:
    """What can be done to it: actions of the list, and their names."""
    deeds = []
    if order.state not in ENDED and not order.cancel_requested:
        deeds.append(("cancel", "Cancel …"))
    if order.to_be_looked_at or order.state == State.NEEDS_REVIEW:
        deeds.append(("look_again", "Look again …"))
    if order.state == State.NEEDS_REVIEW:
        deeds.append(("resolve", "Resolve …"))
    return deeds


def _runs(order: Order) -> list[TaskRun]:
    """The runs that worked on it, and will."""
    keys = [f"{kind}:{order.pk}" for kind in ("submit", "cancel", "abort")]
    found = TaskRun.objects.filter(Q(unique_key__in=keys) | Q(unique_key__startswith=f"verify:{order.pk}:"))
    return list(found.defer("args", "kwargs", "result", "meta").order_by("-seq")[:_RUNS])
