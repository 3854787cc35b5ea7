"""How candles lie in PostgreSQL: partitions, binary COPY in and out, roll-ups, scales."""
