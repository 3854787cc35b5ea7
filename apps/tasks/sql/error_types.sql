-- The types of error that there are: one index probe for each, however many runs have it.
WITH RECURSIVE kind AS (
    SELECT min(error ->> 'type') AS type FROM tasks_taskrun WHERE error IS NOT NULL
    UNION ALL
    SELECT (SELECT min(error ->> 'type') FROM tasks_taskrun WHERE error IS NOT NULL AND error ->> 'type' > kind.type)
    FROM kind
    WHERE kind.type IS NOT NULL
)
SELECT type FROM kind WHERE type IS NOT NULL LIMIT 50
