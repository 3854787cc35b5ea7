-- The first and the last stored bar of one instrument on one level: the key's index is read at both ends.
SELECT '{name}', (SELECT ts FROM {table} WHERE instrument_id = %(instrument_id)s ORDER BY ts LIMIT 1),
       (SELECT ts FROM {table} WHERE instrument_id = %(instrument_id)s ORDER BY ts DESC LIMIT 1)
