-- One of the heavy columns of a result.
SELECT {column} FROM backtests_result WHERE id = %(id)s
