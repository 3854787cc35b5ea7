"""``manage.py reconcile_orphans``."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.events.selectors import read_stream
from apps.liveness import services
from apps.liveness.models import Scan
from tests.liveness.helpers import elapse, rebuilt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def no_grace(settings):
    settings.LIVENESS_START_GRACE = 0.0


def command(*arguments):
    out = StringIO()
    call_command("reconcile_orphans", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def dead(new_user):
    session = services.session_start(user_id=new_user().pk)
    rebuilt()
    elapse(95)
    return session


def test_a_dry_run_says_what_would_be_done_and_does_nothing(dead):
    shown = command("--dry-run")
    assert "workers: 1 members, 1 stale_mark" in shown
    assert f"stale_mark {dead.user_id}, silent for 95 s" in shown
    assert "1 orphans found, 1 would be settled" in shown
    dead.refresh_from_db()
    assert dead.state == "active"
    assert not Scan.objects.exists()


def test_it_settles_and_records_like_beats_job_and_is_named_as_the_actor(dead):
    assert "1 orphans found, 1 settled" in command()
    dead.refresh_from_db()
    assert dead.state == "orphaned"
    assert read_stream(dead.stream)[-1].meta["actor"] == "command:reconcile_orphans"
    assert Scan.objects.get().acted == 1
    assert "0 orphans found" in command()


def test_its_json_holds_what_was_found_in_each_population(dead):
    found = json.loads(command("--json"))
    assert (found["members"], found["found"], found["acted"]) == (1, 1, 1)
    assert found["populations"]["workers"]["acted"] == {"stale_mark": 1}


def test_it_fails_where_an_operator_has_to_decide_and_force_is_the_decision(new_user):
    for _ in range(10):
        services.session_start(user_id=new_user().pk)
    rebuilt()
    elapse(95)
    with pytest.raises(CommandError, match="--force"):
        command()
    assert "10 settled" in command("--force")
