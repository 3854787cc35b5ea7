"""The plan of a user follows from their accounts."""

from __future__ import annotations

from apps.orders.models import Account
from apps.orders.selectors import plan_of_user


def test_a_user_has_the_best_plan_of_their_accounts(db, alice, django_user_model):
    assert plan_of_user(alice) == ""
    first = Account.objects.create(user=alice, name="first", exchange="binance", plan="basic")
    assert plan_of_user(alice) == "basic"
    second = Account.objects.create(user=alice, name="second", exchange="binance", plan="pro")
    assert plan_of_user(alice) == "pro"
    assert plan_of_user(django_user_model.objects.create_user("bob")) == ""
    # One that is switched off counts nothing, and of a plan that the settings do not have nothing is allowed.
    for fields in ({"enabled": False}, {"enabled": True, "plan": "gone"}):
        Account.objects.filter(pk=second.pk).update(**fields)
        assert plan_of_user(alice) == "basic"
    first.delete()
    assert plan_of_user(alice) == "gone"
