"""A strategy's document, which has words in it, is of the backtest that asked for it, and not of its result.

Results know whose run made them. A backtest that asked for the same strategy, word for word, has its document
as well; of others it stays unknown. On the way back a result has the document of the backtest that made it,
or else of the oldest that has one.
"""

from __future__ import annotations

from django.db import migrations, models

_HELP = (
    "The strategy's document as it was asked for, with the orders and risk of the specification: JSON, in the"
    " order that JSON columns do not keep. Empty: unknown."
)

# The row of the maker may be gone. A document without orders and risk of the specification is the strategy.
_FORWARD = """
UPDATE backtests_backtest AS own SET definition = result.definition
FROM backtests_result AS result LEFT JOIN backtests_backtest AS maker ON maker.id = result.maker
WHERE own.result_id = result.id AND result.definition <> '' AND (
    own.id = result.maker
    OR (own.spec -> 'strategy', own.spec -> 'orders', own.spec -> 'risk')
        = (maker.spec -> 'strategy', maker.spec -> 'orders', maker.spec -> 'risk')
    OR (own.spec -> 'strategy', own.spec -> 'orders', own.spec -> 'risk')
        = (NULLIF(result.definition, '')::jsonb, 'null'::jsonb, 'null'::jsonb)
)
"""

_BACKWARD = """
UPDATE backtests_result AS result SET definition = own.definition
FROM (
    SELECT DISTINCT ON (backtest.result_id) backtest.result_id, backtest.definition
    FROM backtests_backtest AS backtest JOIN backtests_result AS of ON of.id = backtest.result_id
    WHERE backtest.definition <> ''
    ORDER BY backtest.result_id, backtest.id IS DISTINCT FROM of.maker, backtest.id
) AS own
WHERE result.id = own.result_id
"""


class Migration(migrations.Migration):
    dependencies = [("backtests", "0005_sweep_fingerprint")]

    operations = [
        migrations.AddField("Backtest", "definition", models.TextField(default="", help_text=_HELP)),
        migrations.RunSQL(_FORWARD, _BACKWARD),
        migrations.RemoveField("BacktestResult", "definition"),
    ]
