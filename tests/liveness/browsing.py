"""What tests of liveness in the admin share: addresses, and what stands on a page."""

from __future__ import annotations

import re
from html import unescape

from django.urls import reverse

from apps.liveness import services
from apps.liveness.marks import worker_leases
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.redis import client

LIST = reverse("admin:liveness_workersession_changelist")
NOW = reverse("admin:liveness_workersession_now")
DECLARE_MEMBER = reverse("admin:liveness_workersession_declare_dead")
DECLARE_SESSIONS = reverse("admin:liveness_workersession_declare_sessions_dead")
RECONCILE = reverse("admin:liveness_workersession_reconcile")
SCANS = reverse("admin:liveness_scan_changelist")
XSS = "<script>alert('worker')</script>"


def page_of(session):
    return reverse("admin:liveness_workersession_change", args=[session.pk])


def text(response):
    assert response.status_code == 200
    return response.content.decode()


def listed(web, **query):
    response = web.get(LIST, query)
    assert response.status_code == 200
    return [session.pk for session in response.context["cl"].result_list]


def conditions(page):
    return re.findall(r'<span class="badge [^>]*>(\w+)</span>', page)


def hidden(page, *names):
    return {
        name: [unescape(value) for value in re.findall(rf'name="{name}" value="([^"]*)"', page)]
        for name in names
    }


def state(session):
    session.refresh_from_db()
    return session.state


def beat(session):
    return services.session_beat(user_id=session.user_id, token=session.token)


def messages(response):
    return [str(one) for one in response.context["messages"]]


def silent(session, seconds):
    """As if the worker had not beaten for so long."""
    leases = worker_leases()
    now, micros = client().time()
    client().zadd(leases.name, {str(session.user_id): now + micros / 1e6 - seconds})
    WorkerSession.objects.filter(pk=session.pk).update(last_seen_at=session.last_seen_at.replace(year=2020))


def found(**workers):
    """A scan that has found two orphans among the workers."""
    part = {
        "members": 30, "found": {"stale_mark": 1, "orphan_mark": 1}, "acted": {"stale_mark": 1},
        "refused": "", "mass": False,
        "orphans": [
            {"member": "17", "kind": "stale_mark", "silence": 91.5},
            {"member": "unicorn", "kind": "orphan_mark", "silence": None},
        ],
        **workers,
    }  # fmt: skip
    return Scan.objects.create(
        duration=0.0123, members=30, found=2, acted=1, refused=part["refused"], populations={"workers": part}
    )
