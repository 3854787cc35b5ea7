"""Preferences in the admin: operators may turn mails on and off for users."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from apps.core.admin.filters import among
from apps.core.admin.paging import BoundedPaginator
from apps.notifications import preferences
from apps.notifications.kinds import user_kinds
from apps.notifications.models import Preference


class PreferenceForm(forms.ModelForm[Preference]):
    """One decision, of a kind that there is."""

    kind = forms.ChoiceField(choices=lambda: [(kind.name, kind.label) for kind in user_kinds()])

    class Meta:
        model = Preference
        fields = ("user", "kind", "enabled")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "kind" in cleaned:
            try:
                preferences.check(cleaned["kind"], enabled=cleaned.get("enabled", False))
            except preferences.CannotTurnOff as exc:
                raise forms.ValidationError({"enabled": str(exc)}) from None
        return cleaned


@admin.register(Preference)
class PreferenceAdmin(admin.ModelAdmin[Preference]):
    """What users have decided; where there is no row they get the mails."""

    form = PreferenceForm
    list_display = ("user", "kind", "enabled", "source", "changed_at")
    comes = "Users turn mails off and on over the API and by links in mails; without a row they get them."
    list_filter = (
        among("kind", lambda: [(kind.name, kind.label) for kind in user_kinds()]),
        "enabled",
        "source",
    )
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    list_select_related = ("user",)
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("user__username", "user__email", "kind")
    raw_id_fields = ("user",)

    def save_model(self, request: HttpRequest, obj: Preference, form: Any, change: bool) -> None:
        obj.source = Preference.Source.ADMIN
        preferences.holder(obj.user_id).select_for_update(no_key=True).first()
        super().save_model(request, obj, form, change)
