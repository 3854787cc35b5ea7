"""Placing an order in the admin, on behalf of an account's user."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.widgets import AutocompleteSelect

from apps.candles.models import Instrument
from apps.core import context
from apps.orders import services
from apps.orders.models import Account, Order
from apps.orders.states import Kind, Side


class PlaceForm(forms.Form):
    """What is to be traded. Sent twice, it is one order."""

    account = forms.ModelChoiceField(Account.objects.select_related("user"))
    instrument = forms.ModelChoiceField(Instrument.objects.all())
    side = forms.ChoiceField(choices=Side.choices)
    kind = forms.ChoiceField(choices=Kind.choices)
    quantity = forms.DecimalField(label="Quantity, of the base currency", max_digits=38, decimal_places=18)
    price = forms.DecimalField(
        label="Price, of limit orders", max_digits=38, decimal_places=18, required=False
    )
    simulation = forms.BooleanField(label="On paper", required=False, initial=True)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, site: AdminSite, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("account", "instrument"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.widget = AutocompleteSelect(Order._meta.get_field(name), site, choices=field.choices)

    def place(self, *, by: str) -> Order | None:
        """The order that was placed, on behalf of the actor *by*; None where the form says why not."""
        given = dict(self.cleaned_data)
        key = f"admin:{given.pop('key')}"
        try:
            with context.bind(actor=by):
                return services.order_request(**given, source=Order.Source.ADMIN, key=key)
        except services.InvalidOrder as exc:
            self.add_error(exc.field if exc.field in self.fields else None, str(exc))
        except (services.DailyLimitReached, services.OrderExists) as exc:
            self.add_error(None, str(exc))
        return None
