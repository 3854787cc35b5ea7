"""Who may see, end and delete sweeps: over HTTP and in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.backtests.models import Backtest, Sweep
from apps.core.ids import uuid7
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import KEPT, body, brief, post, run_some

pytestmark = pytest.mark.django_db

LIST = "/admin/backtests/sweep/"


@pytest.fixture
def desk(django_user_model: Any) -> Any:
    """Somebody of the staff, without any permission."""
    return django_user_model.objects.create_user("desk", is_staff=True)


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def permit(user: Any, *names: str) -> Client:
    """A client of *user*, who has these permissions."""
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return signed_in(type(user).objects.get(pk=user.pk))


def test_people_see_their_own_sweeps_and_staff_see_all(
    api: Any, few: str, django_user_model: Any, admin_user: Any
) -> None:
    mine = post(api, brief(few)).json()
    run_pending()
    urls = [mine["url"], mine["combinations_url"], f"{mine['heatmap_url']}?x=fast&y=slow"]
    bob = signed_in(django_user_model.objects.create_user("bob"))
    assert bob.get("/api/v1/sweeps").json() == []
    assert [bob.get(url).status_code for url in urls] == [404] * 3
    assert bob.post(f"{mine['url']}/cancel").status_code == 404
    assert bob.delete(mine["url"]).status_code == 404
    staff = signed_in(admin_user)
    assert [staff.get(url).status_code for url in urls] == [200] * 3
    assert staff.get(f"/api/v1/sweeps/{uuid7()}").status_code == 404
    assert Client().get("/api/v1/sweeps").status_code in (401, 403)


def test_staff_need_a_permission_to_end_and_to_delete_what_is_not_theirs(
    api: Any, few: str, desk: Any
) -> None:
    mine = post(api, brief(few)).json()
    plain = signed_in(desk)
    assert plain.get(mine["url"]).status_code == 200
    for refused in (plain.post(f"{mine['url']}/cancel"), plain.delete(mine["url"])):
        assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
        assert "backtests.change_sweep" in refused.json()["detail"]
    assert Sweep.objects.get().cancelled_at is None
    may = permit(desk, "change_sweep")
    assert may.post(f"{mine['url']}/cancel").status_code == 200
    assert may.delete(mine["url"]).status_code == 204
    own = post(plain, brief(few)).json()
    assert plain.post(f"{own['url']}/cancel").status_code == 200
    assert plain.delete(own["url"]).status_code == 204


@pytest.mark.usefixtures("small_chunks")
def test_the_admin_lists_shows_and_cancels_sweeps(api: Any, stored: str, admin_user: Any) -> None:
    ended = post(api, body(stored)).json()
    run_pending()
    other = post(api, body(stored)).json()
    run_some(1)
    chunks, staff = other["progress"]["chunks"], signed_in(admin_user)
    done = api.get(other["url"]).json()["progress"]["done"]
    page = staff.get(LIST).content.decode()
    assert f"{KEPT} of sma_cross on {stored} 1h" in page
    for standing in (f"{KEPT} of {KEPT}", f"{chunks} of {chunks}", f"{done} of {KEPT}", f"1 of {chunks}"):
        assert f">{standing}<" in page, standing
    detail = staff.get(f"{LIST}{ended['id']}/change/")
    assert detail.status_code == 200
    assert "sharpe" in detail.content.decode()
    ask = {"action": "cancel", "_selected_action": [other["id"], ended["id"]]}
    assert "Cancel them?" in staff.post(LIST, ask).content.decode()
    assert not Sweep.objects.filter(cancelled_at__isnull=False).exists()
    said = staff.post(LIST, {**ask, "answered": "yes"}, follow=True).content.decode()
    assert ("1 cancelled." in said, said.count("has ended already.")) == (True, 1)
    assert [str(one.pk) for one in Sweep.objects.filter(cancelled_at__isnull=False)] == [other["id"]]
    again = staff.post(LIST, {**ask, "answered": "yes"}, follow=True).content.decode()
    assert ("0 cancelled." in again, again.count("has ended already.")) == (True, 2)


def test_a_page_of_the_admins_list_takes_the_same_queries_whatever_its_size(
    api: Any, few: str, admin_user: Any
) -> None:
    staff, counts = signed_in(admin_user), []
    for more in (1, 4):
        for _ in range(more):
            post(api, brief(few))
        with CaptureQueriesContext(connection) as made:
            page = staff.get(LIST).content.decode()
        counts.append(len(made))
        assert page.count(f"0 of {KEPT}") == Sweep.objects.count()
    assert counts[0] == counts[1]


def test_the_admin_deletes_a_sweep_as_the_service_does(api: Any, few: str, desk: Any) -> None:
    asked = post(api, brief(few)).json()
    looks = permit(desk, "view_sweep")
    assert looks.get(f"{LIST}{asked['id']}/delete/").status_code == 403
    operates = permit(desk, "view_sweep", "change_sweep")
    assert "delete_selected" not in operates.get(LIST).content.decode()
    gone = operates.post(f"{LIST}{asked['id']}/delete/", {"post": "yes"})
    assert (gone.status_code, Sweep.objects.count()) == (302, 0)
    # What had not run is cancelled.
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_a_user_with_sweeps_can_be_deleted_in_the_admin(
    api: Any, alice: Any, few: str, admin_user: Any
) -> None:
    post(api, brief(few, best=0))
    run_pending()
    assert not Backtest.objects.exists()
    staff, url = signed_in(admin_user), f"/admin/auth/user/{alice.pk}/delete/"
    assert "permission to delete" not in staff.get(url).content.decode()
    assert staff.post(url, {"post": "yes"}).status_code == 302
    assert not Sweep.objects.exists()
