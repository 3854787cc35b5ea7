"""An address where something is written, and what may happen meanwhile."""

from __future__ import annotations

from django.urls import path
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.views import ApiView
from apps.liveness import services
from apps.liveness.models import WorkerSession
from project.urls import handler500 as handler500
from project.urls import urlpatterns as product
from tests.workload.models import Effect


class Write(ApiView):
    """Writes, and then does as the body says."""

    def post(self, request: Request) -> Response:
        Effect.objects.create(name="order", attempt=1)
        match request.data.get("then"):
            case "die":
                session = WorkerSession.objects.get(state="active")
                services.session_declare_dead(session_id=session.pk, reason="hangs")
            case "fail":
                raise ZeroDivisionError
            case "refuse":
                raise ValidationError("no")
        return Response({}, 201)

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [*product, path("write", Write.as_view())]
