-- Count orders that were refused for an account's limit of a day: whether these are the first of it.
-- Whoever takes one of the day's orders has to do with another row, and waits for nobody who is here.
INSERT INTO orders_daily_refusal AS refusal (account_id, day, simulation, refused)
VALUES (%(account)s, %(day)s, %(simulation)s, %(count)s)
ON CONFLICT (account_id, day, simulation) DO UPDATE SET refused = refusal.refused + excluded.refused
RETURNING refused = %(count)s
