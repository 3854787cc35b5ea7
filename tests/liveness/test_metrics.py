"""What Prometheus is told of who is alive."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.liveness import services
from apps.liveness.reconciling import reconcile_orphans
from tests.liveness.helpers import elapse, rebuilt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def metrics(client):
    families = text_string_to_metric_families(client.get("/metrics").content.decode())
    return {
        (
            sample.name.removeprefix("chandlery_liveness_"),
            *(
                sample.labels[label]
                for label in ("population", "condition", "kind")
                if label in sample.labels
            ),
        ): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("chandlery_liveness_")
    }


def test_members_orphans_and_looks_are_told(admin_client, new_user, settings):
    settings.LIVENESS_START_GRACE = 0.0
    sessions = [services.session_start(user_id=new_user().pk) for _ in range(3)]
    rebuilt()
    elapse(60)
    services.session_beat(user_id=sessions[0].user_id, token=sessions[0].token)
    found = metrics(admin_client)
    assert (found["members", "workers", "alive"], found["members", "workers", "stale"]) == (1, 2)
    assert found["reachable",] == 1
    elapse(40)
    reconcile_orphans()
    found = metrics(admin_client)
    assert found["orphans_total", "workers", "stale_mark"] == 2
    assert (found["refused", "workers"], found["refused", "runs"]) == (0, 1)
    assert 0 <= found["scan_age_seconds",] < 60
    assert found["scan_duration_seconds",] > 0


def test_without_redis_its_figures_are_absent(admin_client, redis_away):
    found = metrics(admin_client)
    assert found["reachable",] == 0
    assert not [name for name in found if name[0] == "members"]
