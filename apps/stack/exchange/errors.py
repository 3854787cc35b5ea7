"""The exchange's refusals: a code and a message in JSON, as Binance words them."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is answered with ``{"code": …, "msg": …}`` and an HTTP error status."""

    def __init__(self, code: int, message: str, *, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after

    def body(self) -> dict[str, int | str]:
        return {"code": self.code, "msg": self.message}


class BadFile(Exception):
    """A file of candles that cannot be replayed; the text names the file, the line and the fault."""


def illegal_characters(name: str, legal: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def mandatory(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def empty(name: str) -> ApiError:
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def invalid_value(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def invalid_symbol() -> ApiError:
    return ApiError(-1121, "Invalid symbol.")


def invalid_interval() -> ApiError:
    return ApiError(-1120, "Invalid interval.")


def duplicate_symbols() -> ApiError:
    return ApiError(-1151, "Symbol is present multiple times in the list.")


def too_many_parameters(received: int) -> ApiError:
    return ApiError(-1101, f"Too many parameters; expected '0' and received '{received}'.")


def repeated_parameter() -> ApiError:
    return ApiError(-1101, "Duplicate values for a parameter detected.")


def unread_parameters(read: int, sent: int) -> ApiError:
    return ApiError(
        -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
    )


def bad_combination() -> ApiError:
    return ApiError(-1128, "Combination of optional parameters invalid.")
