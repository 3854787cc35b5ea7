"""What the benchmark SQS server refuses, in the shape that AWS gives to it."""

from __future__ import annotations


class SqsError(Exception):
    """A refused request: *code* as boto3 names it, *query_code* as the older protocol did."""

    def __init__(self, code: str, message: str, *, query_code: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.query_code = query_code or code
        self.status = status


def no_such_queue() -> SqsError:
    """The queue was never made, or was deleted."""
    return SqsError(
        "QueueDoesNotExist",
        "The specified queue does not exist.",
        query_code="AWS.SimpleQueueService.NonExistentQueue",
    )


def invalid(message: str) -> SqsError:
    """A parameter has a value that SQS does not take."""
    return SqsError("InvalidParameterValue", message)


def missing(name: str) -> SqsError:
    """A parameter is not there."""
    return SqsError("MissingParameter", f"The request must contain the parameter {name}.")


def bad_batch(code: str, message: str) -> SqsError:
    """A whole batch is refused."""
    return SqsError(code, message, query_code=f"AWS.SimpleQueueService.{code}")
