"""Sessions of AWS's library, of which every further one costs little."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.loaders import Loader


def session(**options: Any) -> Session:
    """A session of boto3's, made with these options.

    What a client takes to be made is nearly all for the descriptions of AWS's services, which are long files.
    Sessions share what they have read of them, and nothing else.
    """
    # Slow to import, and not needed by a process that only requests runs.
    import boto3
    from botocore.session import get_session

    core = get_session()
    core.register_component("data_loader", _descriptions())
    return boto3.Session(botocore_session=core, **options)


def warm_up() -> None:
    """Read what clients of SQS are made from: for processes that will be forked from this one."""
    from botocore import UNSIGNED
    from botocore.config import Config

    session(region_name="us-east-1").client("sqs", config=Config(signature_version=UNSIGNED))


@cache
def _descriptions() -> Loader:
    from botocore.session import get_session

    loader: Loader = get_session().get_component("data_loader")
    return loader
