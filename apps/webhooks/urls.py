from __future__ import annotations

from django.urls import path

from apps.webhooks.api.views import (
    DeliveryDetail,
    EndpointDeliveries,
    EndpointDetail,
    EndpointList,
    EndpointRotate,
    EndpointTry,
)

_ONE = "webhooks/<uuid:endpoint_id>"

urlpatterns = [
    path("webhooks", EndpointList.as_view(), name="endpoint-list"),
    path(_ONE, EndpointDetail.as_view(), name="endpoint-detail"),
    path(f"{_ONE}/rotate", EndpointRotate.as_view(), name="endpoint-rotate"),
    path(f"{_ONE}/test", EndpointTry.as_view(), name="endpoint-try"),
    path(f"{_ONE}/deliveries", EndpointDeliveries.as_view(), name="endpoint-deliveries"),
    path("webhooks/deliveries/<uuid:delivery_id>", DeliveryDetail.as_view(), name="delivery-detail"),
]
