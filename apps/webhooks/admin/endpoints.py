"""Endpoints in the admin: made, changed and switched off; tokens and secrets are shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, Subject, answered, chosen, stacked
from apps.core.crypto import NoKey
from apps.orders.admin.shown import EXCHANGE, at, link
from apps.webhooks import examples, services
from apps.webhooks.addresses import presets
from apps.webhooks.endpoints import LONGEST_OVERLAP, endpoint_set
from apps.webhooks.formats.tradingview import FIELDS
from apps.webhooks.models import Endpoint

_PAGES = "admin/webhooks/endpoint"
_FIELDS = ("name", "require_secret", "allowed_addresses", "window_seconds", "enabled")


class EndpointForm(forms.ModelForm[Endpoint]):
    """What operators choose. Whatever is wrong with it is said beside its field."""

    allowed_addresses = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Addresses, networks and names of presets that signals are taken from, one a line; empty:"
        f" from anywhere. Presets: {', '.join(presets())}.",
    )
    signing = forms.BooleanField(
        required=False, help_text="Make a signing secret, too, for senders that sign (PineForge)."
    )

    class Meta:
        model = Endpoint
        fields = ("account", *_FIELDS)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["allowed_addresses"] = "\n".join(self.instance.allowed_addresses)

    def clean_allowed_addresses(self) -> list[str]:
        """The lines."""
        return [line.strip() for line in self.cleaned_data["allowed_addresses"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        try:
            endpoint_set(Endpoint(), {name: given[name] for name in _FIELDS if name in given})
        except services.InvalidEndpoint as exc:
            self.add_error(exc.field, str(exc))
        account = given.get("account")
        user = account.user_id if account is not None else self.instance.user_id
        name = " ".join(given.get("name", "").split())
        if Endpoint.objects.filter(user=user, name=name).exclude(pk=self.instance.pk).exists():
            self.add_error("name", f"There is an endpoint {name!r} of the same user already.")
        return given


class RotateForm(forms.Form):
    """Which of the credentials is to be another, and how long the one before stays valid."""

    what = forms.ChoiceField(
        label="New",
        choices=[
            ("token", "token (and so address)"),
            ("secret", "secret"),
            ("signing_secret", "signing secret"),
        ],
    )
    overlap = forms.FloatField(
        label="Hours for which the one before stays valid",
        min_value=0,
        max_value=LONGEST_OVERLAP.total_seconds() / 3600,
        initial=24,
    )


@admin.register(Endpoint)
class EndpointAdmin(DescribedAdmin):
    """Where signals of accounts are sent to."""

    form = EndpointForm
    list_display = (
        "name_and_user",
        "of_account",
        "credentials",
        "from_where",
        "window",
        "enabled",
        "created",
    )
    comes = "Users make endpoints over the API; operators add them here, for an account."
    list_filter = ("enabled", "require_secret", EXCHANGE)
    list_select_related = ("user", "account")
    sortable_by = ()
    search_fields = ("name", "user__username", "account__name", "token_hint")
    search_help_text = "An endpoint's id, part of its name, a user's or an account's, or the end of a token"
    autocomplete_fields = ("account",)
    actions = ("disable",)
    change_form_template = "admin/webhooks/endpoint/change_form.html"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one account, where its page leads."""
        return lookup == "account__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("webhooks.add_endpoint"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("account", *(name for name in _FIELDS if name != "enabled"), "signing")
        return ("id", "user", "of_account", *_FIELDS, "credentials", "before", "created_at", "log")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("id", "user", "of_account", "credentials", "before", "created_at", "log")

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<path:object_id>/{where}/",
                self.admin_site.admin_view(view),
                name=f"webhooks_endpoint_{where}",
            )
            for where, view in (("rotate", self.rotate_view), ("setup", self.setup_view))
        ]
        return [*own, *super().get_urls()]

    # Making and changing --------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        """By the services, which tell the audit."""
        by = f"user:{request.user.pk}"
        values = {name: form.cleaned_data[name] for name in _FIELDS if name in form.cleaned_data}
        if change:
            services.endpoint_update(endpoint=obj, by=by, **values)
            return
        try:
            issued = services.endpoint_create(
                account=form.cleaned_data["account"], by=by, signing=form.cleaned_data["signing"], **values
            )
        except NoKey as exc:
            raise PermissionDenied(str(exc)) from exc
        obj.pk = issued.endpoint.pk
        vars(obj)["issued"] = issued

    def response_add(
        self, request: HttpRequest, obj: Endpoint, post_url_continue: Any = None
    ) -> HttpResponse:
        """The page that shows what is new, once."""
        return self._issued(request, vars(obj)["issued"])

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET: the form. POST: make it, and show it once."""
        endpoint = self._found(request, object_id)
        form = RotateForm(request.POST or None)
        if form.is_valid():
            try:
                issued = services.endpoint_rotate(
                    endpoint=endpoint,
                    what=form.cleaned_data["what"],
                    by=f"user:{request.user.pk}",
                    overlap=timedelta(hours=form.cleaned_data["overlap"]),
                )
            except NoKey as exc:
                form.add_error("what", str(exc))
            else:
                return self._issued(request, issued)
        title = f"Other credentials for {endpoint}"
        return self.page(request, f"{_PAGES}/rotate.html", title=title, endpoint=endpoint, form=form)

    def setup_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How senders are set up."""
        endpoint = self._found(request, object_id)
        return self.page(
            request,
            f"{_PAGES}/setup.html",
            title=f"How to send signals to {endpoint}",
            endpoint=endpoint,
            addresses=examples.addresses(examples.UNKNOWN_TOKEN),
            message=examples.tradingview_message(hint=endpoint.secret_hint),
            fields=list(FIELDS.items()),
        )

    def _issued(self, request: HttpRequest, issued: services.Issued) -> HttpResponse:
        response = self.page(
            request,
            f"{_PAGES}/issued.html",
            title=f"Credentials of {issued.endpoint}",
            endpoint=issued.endpoint,
            issued=issued,
            addresses=examples.addresses(issued.token) if issued.token else {},
            message=examples.tradingview_message(issued.secret) if issued.secret else "",
        )
        response["Cache-Control"] = "no-store"
        return response

    def _found(self, request: HttpRequest, object_id: str) -> Endpoint:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        endpoint: Endpoint | None = self.get_object(request, unquote(object_id))
        if endpoint is None:
            raise Http404(f"There is no endpoint {object_id}.")
        return endpoint

    # Switching off --------------------------------------------------------------------------------

    @admin.action(description="Switch the selected endpoints off …", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Switch them off, after a question."""
        endpoints = chosen(queryset.filter(enabled=True))
        if not endpoints:
            self.message_user(request, "All of these are switched off.", messages.WARNING)
            return None
        if not answered(request):
            return self.ask(
                request,
                [Subject(one.pk, str(one), str(one.user)) for one in endpoints],
                action="disable",
                title=f"Switch off {len(endpoints)} endpoint(s)",
                consequence="Signals that are sent to these are refused, exits included.",
                button="Switch them off",
                grave=True,
            )
        for endpoint in endpoints:
            services.endpoint_disable(endpoint=endpoint, by=f"user:{request.user.pk}")
        self.message_user(request, f"{len(endpoints)} switched off.")
        return None

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description="endpoint, user")
    def name_and_user(self, endpoint: Endpoint) -> SafeString:
        """Its name, and under it whose it is."""
        return stacked(endpoint.name, endpoint.user)

    @admin.display(description="account")
    def of_account(self, endpoint: Endpoint) -> SafeString:
        """A link to its account."""
        return link("account", endpoint.account_id, endpoint.account)

    @admin.display(description="token, secrets")
    def credentials(self, endpoint: Endpoint) -> SafeString:
        """How they end."""
        signing = f", signing …{endpoint.signing_hint}" if endpoint.signing_secret else ""
        return stacked(
            format_html("<code>…{}</code>", endpoint.token_hint),
            f"secret …{endpoint.secret_hint}{signing}",
        )

    @admin.display(description="valid beside these (UTC)")
    def before(self, endpoint: Endpoint) -> str:
        """Until when the ones before are."""
        until = {
            "token": endpoint.previous_token_until,
            "secret": endpoint.previous_secret_until,
            "signing secret": endpoint.previous_signing_until,
        }
        return (
            ", ".join(f"the last {name} until {end:%Y-%m-%d %H:%M:%S}" for name, end in until.items() if end)
            or "none"
        )

    @admin.display(description="from")
    def from_where(self, endpoint: Endpoint) -> str:
        """Which addresses are allowed."""
        return ", ".join(endpoint.allowed_addresses) or "anywhere"

    @admin.display(description="window")
    def window(self, endpoint: Endpoint) -> str:
        """How old signals may be."""
        return f"{endpoint.window_seconds} s"

    @admin.display(description="made (UTC)", ordering="id")
    def created(self, endpoint: Endpoint) -> SafeString | str:
        """When."""
        return at(endpoint.created_at)

    @admin.display(description="deliveries")
    def log(self, endpoint: Endpoint) -> SafeString:
        """A link to what was sent to it."""
        url = reverse("admin:webhooks_delivery_changelist")
        return format_html('<a href="{}?endpoint__id__exact={}">what was sent to it</a>', url, endpoint.pk)
