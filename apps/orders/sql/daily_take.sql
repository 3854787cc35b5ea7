-- Count one more order of an account on a day, unless that would be more than it may ask for.
WITH taken AS (
    INSERT INTO orders_daily_use AS used (account_id, day, simulation, orders)
    SELECT %(account)s::uuid, %(day)s::date, %(simulation)s::boolean, 1
    WHERE %(exempt)s::boolean OR %(limit)s::integer > 0
    ON CONFLICT (account_id, day, simulation) DO UPDATE
    SET orders = used.orders + 1
    WHERE %(exempt)s::boolean OR used.orders < %(limit)s::integer
    RETURNING orders
)
SELECT true, orders FROM taken
UNION ALL
SELECT false, orders FROM orders_daily_use
WHERE account_id = %(account)s AND day = %(day)s AND simulation = %(simulation)s
  AND NOT EXISTS (SELECT FROM taken)
