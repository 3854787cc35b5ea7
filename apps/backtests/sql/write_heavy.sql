-- Give a result its heavy columns.
UPDATE backtests_result SET trades_data = %(trades)b, equity_data = %(equity)b WHERE id = %(id)s
