"""Accounts in the admin: made, changed and switched off; their keys are set there and shown nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import (
    DescribedAdmin,
    LeadingAdmin,
    Place,
    Subject,
    answered,
    chosen,
    stacked,
)
from apps.core.admin.filters import among
from apps.core.crypto import NoKey
from apps.orders import conf, services
from apps.orders.accounts import account_set
from apps.orders.admin.shown import at
from apps.orders.limits import daily_limit
from apps.orders.models import Account

_FIELDS = ("name", "plan", "daily_limit", "simulation", "enabled")


class AccountForm(forms.ModelForm[Account]):
    """What operators choose. Whatever is wrong with it is said beside its field."""

    plan = forms.ChoiceField()

    class Meta:
        model = Account
        fields = ("user", "exchange", *_FIELDS)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        known = dict.fromkeys([*sorted(conf.plans()), self.instance.plan])
        self.fields["plan"].choices = [(name, name) for name in known]  # type: ignore[attr-defined]
        if "exchange" in self.fields:
            self.fields["exchange"] = forms.ChoiceField(choices=[(one, one) for one in conf.exchanges()])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        account = Account(name="?")
        try:
            account_set(account, {name: given[name] for name in _FIELDS if name in given}, staff=True)
        except services.InvalidAccount as exc:
            self.add_error(exc.field, str(exc))
        user = given.get("user", self.instance.user_id)
        same = Account.objects.filter(user=user, name=account.name).exclude(pk=self.instance.pk)
        if same.exists():
            self.add_error("name", f"There is an account {account.name!r} already.")
        return given


class KeysForm(forms.Form):
    """Keys of an exchange. What was typed is never sent back."""

    api_key = forms.CharField(label="Key", strip=False, widget=forms.PasswordInput())
    api_secret = forms.CharField(label="Secret", strip=False, widget=forms.PasswordInput())


@admin.register(Account)
class AccountAdmin(LeadingAdmin, DescribedAdmin):
    """Accounts of users at exchanges."""

    form = AccountForm
    list_display = ("name_and_user", "exchange", "plan_and_limit", "mode", "keys", "enabled", "created")
    comes = "Users make accounts over the API; operators add them here."
    list_filter = (
        among("exchange", lambda: [(name, name) for name in conf.exchanges()]),
        among("plan", lambda: [(name, name) for name in sorted(conf.plans())]),
        "simulation",
        "enabled",
    )
    list_select_related = ("user",)
    sortable_by = ()
    search_fields = ("name", "user__username", "key_hint")
    search_help_text = "An account's id, part of its name or of a user's, or the end of a key"
    autocomplete_fields = ("user",)
    actions = ("disable",)
    change_form_template = "admin/orders/account/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.add_account"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("user", "exchange", *_FIELDS)
        return ("id", "user", "exchange", *_FIELDS, "daily", "keys", "created_at", "elsewhere")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("id", "user", "exchange", "daily", "keys", "created_at", "elsewhere")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.keys_view)
        return [path("<path:object_id>/keys/", view, name="orders_account_keys"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        """By the service, which tells the audit."""
        by = f"user:{request.user.pk}"
        values = {name: form.cleaned_data[name] for name in _FIELDS}
        if change:
            services.account_update(account=obj, by=by, staff=True, **values)
            return
        enabled = values.pop("enabled")
        made = services.account_create(user=obj.user, exchange=obj.exchange, by=by, staff=True, **values)
        if not enabled:
            services.account_disable(account=made, by=by)
        obj.pk = made.pk

    def keys_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET: the form for keys. POST: set them, or remove those that are there."""
        account = self.get_object(request, unquote(object_id))
        if account is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form, by = KeysForm(), f"user:{request.user.pk}"
        back = HttpResponseRedirect(reverse("admin:orders_account_change", args=[account.pk]))
        if request.method == "POST" and "clear" in request.POST:
            services.account_clear_keys(account=account, by=by)
            self.message_user(request, "The keys were removed.")
            return back
        if request.method == "POST":
            form = KeysForm(request.POST)
            if form.is_valid():
                try:
                    services.account_set_keys(account=account, by=by, **form.cleaned_data)
                except services.InvalidAccount as exc:
                    form.add_error(exc.field, str(exc))
                except NoKey as exc:
                    form.add_error(None, str(exc))
                else:
                    self.message_user(request, "The keys were set.")
                    return back
        return self.page(
            request,
            "admin/orders/account/keys.html",
            title=f"Keys of {account}",
            account=account,
            form=form,
        )

    @admin.action(description="Switch the selected accounts off …", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Account]) -> HttpResponse | None:
        """Switch them off, after a question."""
        accounts = chosen(queryset.filter(enabled=True))
        if not accounts:
            self.message_user(request, "All of these are switched off.", messages.WARNING)
            return None
        if not answered(request):
            return self.ask(
                request,
                [Subject(one.pk, str(one), str(one.user)) for one in accounts],
                action="disable",
                title=f"Switch off {len(accounts)} account(s)",
                consequence="New orders of these are rejected, and those that wait are not submitted. What"
                " is at a broker stays there, and is looked at until it has ended.",
                button="Switch them off",
                grave=True,
            )
        for account in accounts:
            services.account_disable(account=account, by=f"user:{request.user.pk}")
        self.message_user(request, f"{len(accounts)} switched off.")
        return None

    @admin.display(description="account, user")
    def name_and_user(self, account: Account) -> SafeString:
        """Its name, and under it whose it is."""
        return stacked(account.name, account.user)

    @admin.display(description="plan, orders a day")
    def plan_and_limit(self, account: Account) -> SafeString:
        """The plan, and under it how many orders."""
        return stacked(account.plan, f"{daily_limit(account):,}")

    @admin.display(description="orders a day")
    def daily(self, account: Account) -> str:
        """As many as it may ask for."""
        return f"{daily_limit(account):,}"

    def places(self, row: Any) -> Sequence[Place]:
        """What is of this account."""
        of = {"account__id__exact": row.pk}
        return (
            Place("orders_order", "orders", of),
            Place("orders_fill", "fills", of),
            Place("orders_position", "positions", of),
            Place("webhooks_endpoint", "endpoints", of),
            Place("audit_entry", "in the audit", {"account": row.pk}),
        )

    @admin.display(description="traded")
    def mode(self, account: Account) -> str:
        """On paper whatever is asked for, or as it is asked for."""
        return "on paper" if account.simulation else "as asked for"

    @admin.display(description="keys (UTC)")
    def keys(self, account: Account) -> SafeString | str:
        """How the key ends, and since when it is there."""
        if not account.api_key:
            return "none"
        return format_html("<code>…{}</code> since {}", account.key_hint, at(account.keys_set_at))

    @admin.display(description="made (UTC)", ordering="id")
    def created(self, account: Account) -> SafeString | str:
        """When."""
        return at(account.created_at)
