"""Bars over HTTP: read by anybody, uploaded by staff."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.candles.api import schema
from apps.candles.api.forms import Form, accepted_form, as_json, pieces
from apps.candles.api.query import CandleQuerySerializer
from apps.candles.api.series import Answer, Reading
from apps.candles.api.uploads import UploadQuerySerializer, upload
from apps.candles.sources.base import SourceError
from apps.core import tags
from apps.core.views import ApiView

# Answers with more bars are sent piece by piece.
_STREAMED = 20_000
# Bodies with fewer bytes hardly get smaller.
_COMPRESSED = 1_000
# A weight that means "not this".
_NEVER = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")
# The fastest: higher ones take several times as long for a tenth less.
_LEVEL = 1


class CandleList(ApiView):
    """Bars of one instrument or several."""

    # Storing the same minutes again changes nothing.
    keeps_answers = False

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Who reads is not looked at: everybody may."""
        return [] if self._reads() else super().get_authenticators()

    def get_permissions(self) -> list[BasePermission]:
        """Everybody may read, and staff may write."""
        return [AllowAny() if self._reads() else IsAdminUser()]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """What is rendered here is problems and reports of uploads; bars have their own forms."""
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(**schema.CANDLES)
    def get(self, request: Request) -> HttpResponseBase:
        query = CandleQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data.get("format")
        form = accepted_form(request._request) if wanted is None else Form(wanted)
        try:
            reading = Reading(query.question(form))
        except SourceError as exc:
            raise ValidationError({exc.field: [str(exc)]}) from None
        tag = f'W/"{reading.tag(form.value)}"'
        if tags.is_held(request._request, tag):
            response: HttpResponseBase = HttpResponse(status=304)
            del response["Content-Type"]
        else:
            response = _response(reading.answer(), form, gzipped=_accepts_gzip(request._request))
        response["ETag"] = tag
        # May be kept, and has to be asked for: any bar may be corrected.
        response["Cache-Control"] = "no-cache"
        return response

    @extend_schema(**schema.UPLOAD)
    def post(self, request: Request) -> Response:
        query = UploadQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(upload(request._request, **query.validated_data))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Whatever is answered to a reader depends on these headers, errors too."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._reads():
            patch_vary_headers(response, ["Accept", "Accept-Encoding"])
        return response

    def _reads(self) -> bool:
        return getattr(self.request, "method", None) in ("GET", "HEAD", "OPTIONS")


def _accepts_gzip(request: HttpRequest) -> bool:
    for coding in request.META.get("HTTP_ACCEPT_ENCODING", "").lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return _NEVER.fullmatch(weight) is None
    return False


def _response(answer: Answer, form: Form, *, gzipped: bool) -> HttpResponseBase:
    gzipped = gzipped and form.is_text
    response: HttpResponseBase
    if form.is_json:
        response = _whole(as_json(answer, rows=form is Form.ROWS), form, gzipped)
    else:
        body = pieces(answer, form)
        if sum(len(one.candles) for one in answer.series) <= _STREAMED:
            response = _whole(b"".join(body), form, gzipped)
        else:
            response = StreamingHttpResponse(
                _compressed(body) if gzipped else body, content_type=form.media_type
            )
            if gzipped:
                response["Content-Encoding"] = "gzip"
    forming = [quote(one.candles.instrument, safe=":/") for one in answer.series if one.forming]
    response["Candles-Forming"] = ",".join(forming)
    if answer.next is not None:
        response["Candles-Next"] = str(answer.next)
    return response


def _whole(body: bytes, form: Form, gzipped: bool) -> HttpResponse:
    gzipped = gzipped and len(body) >= _COMPRESSED
    response = HttpResponse(
        gzip.compress(body, _LEVEL, mtime=0) if gzipped else body, content_type=form.media_type
    )
    if gzipped:
        response["Content-Encoding"] = "gzip"
    return response


def _compressed(body: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=31)
    for piece in body:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
