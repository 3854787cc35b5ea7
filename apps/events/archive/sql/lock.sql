-- Of rows that were finished when their streams were written: those that still are, and for as long.
SELECT {key}::text FROM {table}
WHERE {key} = ANY(%(keys)s::text[]::{key_type}[])
  AND {finished} < %(before)s
  AND NOT {unread}
ORDER BY {key}
FOR UPDATE OF {table}
