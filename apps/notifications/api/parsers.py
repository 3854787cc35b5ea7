"""Bodies that are e-mails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from apps.core.problems import ContentTooLarge

#: Bytes of a report: it quotes a mail of ours, which is small.
LARGEST = 200_000
#: Under this the parsed body has the message. No JSON has bytes there.
RAW = "raw"


class MessageParser(BaseParser):
    """A message as bytes. Raises `ContentTooLarge`."""

    media_type = "message/rfc822"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        raw: bytes = stream.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise ContentTooLarge(f"A report has at most {LARGEST:,} bytes.")
        return {RAW: raw}
