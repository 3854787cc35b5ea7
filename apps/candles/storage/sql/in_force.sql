SELECT (SELECT relkind FROM pg_class WHERE oid = 'candle_1m'::regclass),
       (SELECT relkind FROM pg_class WHERE oid = 'candle_5m'::regclass)
