"""Keys and logins in the admin: seen, issued and revoked. Tokens are shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin.described import OwnedAdmin, Subject, Tone, answered, badge, chosen, stacked
from apps.core.scopes import SCOPES
from apps.identity import conf, selectors, services
from apps.identity.models import ApiKey

_TONES = {"active": Tone.GOOD, "expired": Tone.OVER, "revoked": Tone.BAD}


class IssueForm(forms.ModelForm[ApiKey]):
    """What operators choose of a new key."""

    name = forms.CharField(max_length=64, help_text="What it is for.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text="What the key may do of what its user may; write includes read.",
    )
    networks = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Addresses and networks that it is taken from, one a line; empty: from anywhere.",
    )
    expires_in_days = forms.IntegerField(min_value=1, label="Good for so many days")

    class Meta:
        model = ApiKey
        fields = ("user", "name", "scopes", "networks")

    #: Who fills it in.
    by: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial.setdefault("expires_in_days", conf.usual_days())

    def clean_networks(self) -> list[str]:
        """The lines."""
        return [line.strip() for line in self.cleaned_data["networks"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        """What is wrong, the service finds, and it is said beside its field."""
        given = super().clean() or self.cleaned_data
        user = given.get("user")
        if user is not None and user != self.by and not self.by.is_superuser:
            self.add_error("user", "Only superusers make keys of others.")
        if not self.errors:
            try:
                services.key_check(
                    **{name: given[name] for name in ("name", "scopes", "networks", "expires_in_days")}
                )
            except services.InvalidKey as exc:
                self.add_error(exc.field, str(exc))
        return given


class StateFilter(admin.SimpleListFilter):
    """Good now, or over and why."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in _TONES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        match self.value():
            case "active":
                return queryset.filter(selectors.active())
            case "expired":
                return queryset.filter(revoked_at__isnull=True, expiry__lte=timezone.now())
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(OwnedAdmin):
    """Keys and logins of all users."""

    comes = "Users make keys over the API, and logins by signing in to it; operators make keys here."
    form = IssueForm
    list_display = ("name_and_hint", "user", "kind", "state_badge", "granted_scopes", "until", "last_used")
    list_filter = ("kind", StateFilter)
    list_select_related = ("user",)
    sortable_by = ()
    search_fields = ("id", "name", "user__username", "token_key")
    search_help_text = "Part of an id, of a name, of a user's name, or how a token begins"
    autocomplete_fields = ("user",)
    actions = ("revoke",)
    fields = (
        "id", "user", "kind", "name", "hint", "state_badge", "granted_scopes", "from_where", "made", "until",
        "before", "last_used", "revoked",
    )  # fmt: skip
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("identity.add_apikey"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("user", "name", "scopes", "networks", "expires_in_days") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        return type(form.__name__, (form,), {"by": request.user})

    # Issuing --------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """By the service, which tells the audit."""
        if change:
            raise PermissionDenied
        names = ("user", "name", "scopes", "networks", "expires_in_days")
        given = {name: form.cleaned_data[name] for name in names}
        try:
            issued = services.key_create(by=f"user:{request.user.pk}", **given)
        except services.InvalidKey as exc:
            # There are too many: that is found out once nobody else can make one.
            raise PermissionDenied(str(exc)) from exc
        obj.pk = issued.key.pk
        obj.issued = issued

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """The page that shows the token, once."""
        issued = obj.issued
        response = self.page(
            request,
            "admin/identity/apikey/issued.html",
            title=f"Token of {issued.key}",
            issued=issued,
        )
        response["Cache-Control"] = "no-store"
        return response

    # Revoking -------------------------------------------------------------------------------------

    @admin.action(description="Revoke the selected keys and logins …", permissions=["operate"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """End them, after a question."""
        keys = chosen(queryset.filter(selectors.active()))
        if not keys:
            self.message_user(request, "All of these are over.", messages.WARNING)
            return None
        if not answered(request):
            return self.ask(
                request,
                [Subject(one.pk, str(one), str(one.user)) for one in keys],
                action="revoke",
                title=f"Revoke {len(keys)} key(s)",
                consequence="Whoever uses them is refused from now on. There is no way back.",
                button="Revoke them",
                grave=True,
            )
        ended = sum(services.key_revoke(key=one, by=f"user:{request.user.pk}") for one in keys)
        self.message_user(request, f"{ended} revoked.")
        return None

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        """End it, which the audit is told, and forget it."""
        services.key_revoke(key=obj, by=f"user:{request.user.pk}")
        super().delete_model(request, obj)

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description="key")
    def name_and_hint(self, key: ApiKey) -> SafeString:
        """Its name, and how its token begins."""
        return stacked(key.name or "login", key.hint)

    @admin.display(description="state")
    def state_badge(self, key: ApiKey) -> SafeString:
        """Whether it is good now."""
        return badge(key.state, _TONES[key.state])

    @admin.display(description="scopes")
    def granted_scopes(self, key: ApiKey) -> str:
        """What it may do."""
        return ", ".join(key.scopes) or "all that the user may"

    @admin.display(description="from")
    def from_where(self, key: ApiKey) -> str:
        """Which networks it is taken from."""
        return ", ".join(key.networks) or "anywhere"

    @admin.display(description="made (UTC)")
    def made(self, key: ApiKey) -> str:
        """When."""
        return _at(key.created)

    @admin.display(description="good until (UTC)")
    def until(self, key: ApiKey) -> str:
        """When it expires."""
        return _at(key.expiry) or "for ever"

    @admin.display(description="the token before is good until (UTC)")
    def before(self, key: ApiKey) -> str:
        """Of a rotation with an overlap."""
        return _at(key.previous_until)

    @admin.display(description="last used (UTC)")
    def last_used(self, key: ApiKey) -> Any:
        """When and from where."""
        if key.last_used_at is None:
            return "never"
        return stacked(_at(key.last_used_at), key.last_used_address or "")

    @admin.display(description="revoked (UTC)")
    def revoked(self, key: ApiKey) -> str:
        """When."""
        return _at(key.revoked_at)


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
