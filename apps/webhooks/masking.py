"""Keeping what senders prove themselves by out of what is logged and answered.

A token stands in the address. A secret stands in the body under its name, by which it is known
(`apps.core.redaction`); where the name was forgotten it is known by its hash.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from typing import Any

from apps.core.redaction import MASK

#: Whatever may be a token or a secret: 256 random bits as `secrets.token_urlsafe` writes them.
_LENGTH = 43
_WORD = re.compile(rf"(?<![\w-])[\w-]{{{_LENGTH}}}(?![\w-])", re.ASCII)
_ADDRESS = re.compile(r"(/webhooks/[\w-]+/)[^/\s?#\"'<>]+")


def without_secrets(value: Any, hashes: Collection[str]) -> Any:
    """A JSON value in which every word is masked whose SHA-256 (hex) is among *hashes*, in names as well."""
    if isinstance(value, str):
        if len(value) < _LENGTH:
            return value
        return _WORD.sub(lambda word: _shown(word[0], hashes), value)
    if isinstance(value, dict):
        return {without_secrets(name, hashes): without_secrets(item, hashes) for name, item in value.items()}
    return [without_secrets(item, hashes) for item in value] if isinstance(value, list) else value


def _shown(word: str, hashes: Collection[str]) -> str:
    return MASK if hashlib.sha256(word.encode()).hexdigest() in hashes else word


class TokenFilter(logging.Filter):
    """Masks the tokens of webhooks' addresses in records, of whatever logger.

    Django logs addresses that it answers with an error: of a request that never came to the view, too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record may be another one then."""
        try:
            message = record.getMessage()
        except Exception:
            # Handlers say of a record that its words and its values do not fit, and whoever logs it goes on.
            return True
        if "/webhooks/" in message:
            record.msg, record.args = _without_tokens(message), None
        fields = getattr(record, "fields", None)
        if fields:
            record.fields = {name: _without_tokens(value) for name, value in fields.items()}
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            if "/webhooks/" in trace:
                record.exc_text, record.exc_info = _without_tokens(trace), None
        return True


def _without_tokens(value: Any) -> Any:
    return _ADDRESS.sub(rf"\g<1>{MASK}", value) if isinstance(value, str) else value
