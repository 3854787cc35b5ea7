"""The refusals of signed requests, orders and cancellations, as Binance words them."""

from __future__ import annotations

from apps.stack.exchange.errors import ApiError


def bad_key_format() -> ApiError:
    return ApiError(-2014, "API-key format invalid.", status=401)


def rejected_key() -> ApiError:
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def bad_signature() -> ApiError:
    return ApiError(-1022, "Signature for this request is not valid.")


def outside_window() -> ApiError:
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> ApiError:
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def window_too_long(longest: int) -> ApiError:
    return ApiError(-1102, f"'recvWindow' contains unexpected value. Cannot be greater than {longest}.")


def one_of(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def not_required(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def too_fine(name: str) -> ApiError:
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def invalid_time_in_force() -> ApiError:
    return ApiError(-1115, "Invalid timeInForce.")


def invalid_type() -> ApiError:
    return ApiError(-1116, "Invalid orderType.")


def invalid_side() -> ApiError:
    return ApiError(-1117, "Invalid side.")


def interval_too_big() -> ApiError:
    return ApiError(-1127, "More than 24 hours between startTime and endTime.")


def invalid_restrictions() -> ApiError:
    return ApiError(-1145, "Invalid cancelRestrictions")


def filter_failure(name: str) -> ApiError:
    return ApiError(-1013, f"Filter failure: {name}")


def too_many_orders(limit: int, interval: str, retry_after: int) -> ApiError:
    return ApiError(
        -1015,
        f"Too many new orders; current limit is {limit} orders per {interval}.",
        status=429,
        retry_after=retry_after,
    )


def rejected(message: str) -> ApiError:
    """A new order that the matching engine does not take."""
    return ApiError(-2010, message)


def insufficient_balance() -> ApiError:
    return rejected("Account has insufficient balance for requested action.")


def duplicate_order() -> ApiError:
    return rejected("Duplicate order sent.")


def would_take() -> ApiError:
    return rejected("Order would immediately match and take.")


def unsupported_kind(kind: str) -> ApiError:
    """Of an order type that exists, but not on this exchange."""
    return rejected(f"{kind.replace('_', ' ').capitalize()} orders are not supported for this symbol.")


def too_little_liquidity(name: str) -> ApiError:
    return rejected(f"Order book liquidity is less than {name} filter minimum quantity.")


def unknown_order() -> ApiError:
    """A cancellation of what is not open."""
    return ApiError(-2011, "Unknown order sent.")


def restricted_cancel() -> ApiError:
    return ApiError(-2011, "Order was not canceled due to cancel restrictions.")


def no_such_order() -> ApiError:
    return ApiError(-2013, "Order does not exist.")


def wrong_client_id() -> ApiError:
    return ApiError(-2039, "Client order ID is not correct for this order ID.")
