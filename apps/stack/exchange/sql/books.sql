-- Amounts are decimal texts with eight decimals, times are milliseconds since 1970.

CREATE TABLE IF NOT EXISTS accounts (
    account INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    secret TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS balances (
    account INTEGER NOT NULL REFERENCES accounts,
    asset TEXT NOT NULL,
    free TEXT NOT NULL,
    locked TEXT NOT NULL,
    initial TEXT NOT NULL,
    PRIMARY KEY (account, asset)
) WITHOUT ROWID;

-- Ids are counted for each symbol, as on the real exchange.
CREATE TABLE IF NOT EXISTS orders (
    symbol TEXT NOT NULL,
    order_id INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts,
    client_id TEXT NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    price TEXT NOT NULL,
    quantity TEXT NOT NULL,
    quote_quantity TEXT NOT NULL,
    executed TEXT NOT NULL,
    quote_executed TEXT NOT NULL,
    -- What of the account's balance is locked for it: the quote asset for BUY, the base asset for SELL.
    locked TEXT NOT NULL,
    -- The price at which what is left of it fills.
    rest_price TEXT NOT NULL,
    status TEXT NOT NULL,
    expiry_reason TEXT NOT NULL,
    -- NULL: it fills when the market reaches its price. Otherwise the reads after which it fills, -1 for never.
    withheld INTEGER,
    time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (symbol, order_id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS orders_of_account ON orders (account, symbol, order_id);
CREATE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, client_id, symbol, order_id);
CREATE INDEX IF NOT EXISTS orders_open ON orders (account, symbol, order_id)
    WHERE status IN ('NEW', 'PARTIALLY_FILLED');
CREATE INDEX IF NOT EXISTS orders_updated ON orders (account, update_time);
CREATE INDEX IF NOT EXISTS orders_unfilled ON orders (account, time) WHERE executed = '0.00000000';

CREATE TABLE IF NOT EXISTS trades (
    symbol TEXT NOT NULL,
    trade_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts,
    price TEXT NOT NULL,
    quantity TEXT NOT NULL,
    quote TEXT NOT NULL,
    commission TEXT NOT NULL,
    commission_asset TEXT NOT NULL,
    time INTEGER NOT NULL,
    buyer INTEGER NOT NULL,
    maker INTEGER NOT NULL,
    PRIMARY KEY (symbol, trade_id),
    FOREIGN KEY (symbol, order_id) REFERENCES orders
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS trades_of_account ON trades (account, symbol, trade_id);
CREATE INDEX IF NOT EXISTS trades_of_order ON trades (symbol, order_id, trade_id);
