-- Give a result its heavy columns.
UPDATE backtests_result
SET trades_data = %(trades)b, equity_data = %(equity)b, drawing_data = %(drawing)b
WHERE id = %(id)s
