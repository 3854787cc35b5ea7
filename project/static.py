"""Static files of a server: collected once, each under a name that changes with what it holds."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names with a digest, in style sheets and between modules of JavaScript too: browsers may keep them.

    What is named nowhere is served under its own name.
    """

    support_js_module_import_aggregation = True
    manifest_strict = False
