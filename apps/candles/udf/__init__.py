"""TradingView's datafeed protocol (UDF): what its charting library and the adapter around it ask for.

Errors are answered with HTTP 200 and ``{"s": "error", "errmsg": …}``, because the adapter reads the
body and not the status. Times are whole seconds since 1970-01-01T00:00Z.
"""
