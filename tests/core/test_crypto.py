"""Secrets at rest: what is sealed, what does not open, and changing the key."""

from __future__ import annotations

import base64
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from apps.core import crypto
from apps.core.checks import check_encryption_keys
from apps.core.crypto import SealBroken, SealedColumn, seal, unseal
from apps.orders.models import Account

OLD, NEW = (
    f"{name}:{base64.b64encode(bytes([byte]) * 32).decode()}" for name, byte in (("old", 1), ("new", 2))
)


def test_what_is_sealed_opens_in_its_place_and_nowhere_else(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal("hemlich ✓", context="a:1")
    assert "hemlich" not in sealed
    assert seal("hemlich ✓", context="a:1") != sealed
    assert unseal(sealed, context="a:1") == "hemlich ✓"
    name, _, encoded = sealed.partition(".")
    raw = bytearray(base64.urlsafe_b64decode(encoded))
    raw[-1] ^= 1
    changed = f"{name}.{base64.urlsafe_b64encode(raw).decode()}"
    for broken, context in ((sealed, "a:2"), (changed, "a:1"), (f"{name}.", "a:1"), (f"{name}.?", "a:1")):
        with pytest.raises(SealBroken, match="changed, or belongs elsewhere"):
            unseal(broken, context=context)


def test_a_new_key_seals_and_an_old_one_still_opens(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal("x", context="c")
    assert not crypto.is_stale(sealed)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert unseal(sealed, context="c") == "x"
    assert crypto.is_stale(sealed)
    assert seal("x", context="c").startswith("new.")
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(SealBroken, match="no key 'old'"):
        unseal(sealed, context="c")


def test_keys_that_are_none_are_refused(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="is not set"):
        seal("x", context="c")
    short = base64.b64encode(b"x" * 16).decode()
    for listed in (["no key"], [f"a:{short}"], ["a:???"], [f"a b:{OLD[4:]}"]):
        settings.ENCRYPTION_KEYS = listed
        with pytest.raises(ImproperlyConfigured, match="32 bytes in base64"):
            seal("x", context="c")
    settings.ENCRYPTION_KEYS = [OLD, OLD]
    with pytest.raises(ImproperlyConfigured, match="twice"):
        seal("x", context="c")


def test_a_key_is_made_by_a_command(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = []
    made = StringIO()
    call_command("encryption_key", stdout=made)
    settings.ENCRYPTION_KEYS = [made.getvalue().strip()]
    assert unseal(seal("x", context="c"), context="c") == "x"


@pytest.mark.django_db
def test_rotation_seals_everything_anew_and_tells_of_what_does_not_open(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def context(row: Account) -> str:
        return f"test:{row.pk}"

    monkeypatch.setattr(crypto, "_columns", [SealedColumn(model=Account, column="api_key", context=context)])
    monkeypatch.setattr(crypto, "_BATCH", 2)
    settings.ENCRYPTION_KEYS = [OLD]
    user = get_user_model().objects.create_user("ada")
    accounts = [Account.objects.create(user=user, name=str(n), exchange="binance") for n in range(5)]
    for account in accounts[:4]:
        account.api_key = seal(account.name, context=context(account))
        account.save()
    Account.objects.filter(pk=accounts[1].pk).update(api_key=accounts[0].api_key)

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    told, wrong = StringIO(), StringIO()
    for sealed in (3, 0):
        with pytest.raises(CommandError, match="1 could not be opened"):
            call_command("encryption_rotate", stdout=told, stderr=wrong)
        assert told.getvalue().splitlines()[-1] == f"orders.Account.api_key: {sealed} sealed anew"
    assert str(accounts[1].pk) in wrong.getvalue()
    settings.ENCRYPTION_KEYS = [NEW]
    for account in (accounts[0], *accounts[2:4]):
        account.refresh_from_db()
        assert unseal(account.api_key, context=context(account)) == account.name


def test_keys_that_are_none_are_found_before_a_secret_is_lost_to_them(settings: Any) -> None:
    for keys in ([], [NEW], [NEW, f" {OLD}"]):
        settings.ENCRYPTION_KEYS = keys
        assert check_encryption_keys(app_configs=None) == []
    for keys in (["new"], ["new:c2hvcnQ="], [NEW, "old:?"], [NEW, NEW]):
        settings.ENCRYPTION_KEYS = keys
        (found,) = check_encryption_keys(app_configs=None)
        assert found.id == "core.E002"
        assert found.msg.startswith("ENCRYPTION_KEYS: ")
    with pytest.raises(SystemCheckError, match=r"core\.E002"):
        call_command("check")
