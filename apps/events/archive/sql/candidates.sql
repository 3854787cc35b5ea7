-- Keys of the next rows whose streams may go, in order.
SELECT {key} FROM {table}
WHERE {finished} < %(before)s
  AND (%(after)s::text IS NULL OR {key} > %(after)s::text::{key_type})
  -- What a follower has not read it must still find.
  AND NOT {unread}
ORDER BY {key}
LIMIT %(limit)s
