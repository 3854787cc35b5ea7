-- Keep by the day what was counted by the minute more than a day ago.
WITH bound AS MATERIALIZED (
    SELECT date_trunc('day', clock_timestamp(), 'UTC') - interval '1 day' AS day
),
minutes AS (
    DELETE FROM tasks_usagecount AS u
    USING bound
    WHERE u.at < bound.day AND u.at <> date_trunc('day', u.at, 'UTC')
    RETURNING u.kind, u.name, u.at, u.count
)
INSERT INTO tasks_usagecount (kind, name, at, count)
SELECT kind, name, date_trunc('day', at, 'UTC'), sum(count)
FROM minutes
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (at, kind, name) DO UPDATE SET count = tasks_usagecount.count + EXCLUDED.count
