-- What is known of a token, and of the key that came with it: one row, or none where the token is nobody's.
SELECT e.id AS endpoint_id, e.account_id, a.exchange,
       e.enabled AS endpoint_enabled, u.is_active AS user_active, a.enabled AS account_enabled,
       a.simulation AS account_simulation, a.plan, a.daily_limit, a.api_key <> '' AS has_keys,
       e.allowed_addresses, e.window_seconds, e.require_secret,
       e.secret_hash, CASE WHEN e.previous_secret_until > moment.now THEN e.previous_secret_hash END
           AS previous_secret_hash,
       e.signing_secret, CASE WHEN e.previous_signing_until > moment.now THEN e.previous_signing_secret END
           AS previous_signing_secret,
       moment.now, coalesce(d.orders, 0) AS used,
       r.digest, r.status, r.answer, r.order_id
FROM (SELECT statement_timestamp() AS now) AS moment
JOIN webhooks_endpoint AS e
    ON e.token_hash = %(token)s
    OR (e.previous_token_hash = %(token)s AND e.previous_token_until > moment.now)
JOIN orders_account AS a ON a.id = e.account_id
JOIN auth_user AS u ON u.id = e.user_id
LEFT JOIN orders_daily_use AS d
    ON d.account_id = a.id
    AND d.day = (moment.now AT TIME ZONE 'UTC')::date
    AND d.simulation = (%(simulation)s OR a.simulation)
LEFT JOIN webhooks_receipt AS r ON r.endpoint_id = e.id AND r.key = %(key)s
