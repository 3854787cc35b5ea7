-- Keep the answer to a key, and take one of the account's orders of the day: what each of them came to.
-- Nothing is kept where somebody else's answer to the key is there, and nothing taken beyond the limit.
WITH kept AS (
    INSERT INTO webhooks_receipt (endpoint_id, key, digest, status, answer, order_id, created_at)
    VALUES (%(endpoint)s, %(key)s, %(digest)s, %(status)s, %(answer)s::jsonb, %(order)s, clock_timestamp())
    ON CONFLICT DO NOTHING
    RETURNING 1
),
taken AS (
    INSERT INTO orders_daily_use AS used (account_id, day, simulation, orders)
    SELECT %(account)s::uuid, %(day)s::date, %(simulation)s::boolean, 1
    WHERE %(order)s::uuid IS NOT NULL AND (%(exempt)s::boolean OR %(limit)s::integer > 0)
    ON CONFLICT (account_id, day, simulation) DO UPDATE
    SET orders = used.orders + 1
    WHERE %(exempt)s::boolean OR used.orders < %(limit)s::integer
    RETURNING 1
)
SELECT EXISTS (SELECT FROM kept), EXISTS (SELECT FROM taken)
