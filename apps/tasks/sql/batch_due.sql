-- Batches whose runs have all ended as is waited for, and that were not completed yet: one, or at most so many.
-- Most looks find a run that has not ended, and that by one probe of the index; only then is counted, because
-- the later runs of a chord need not exist yet.
SELECT b.id
FROM tasks_batch AS b
WHERE b.state <> 'completed' AND (%(id)s::uuid IS NULL OR b.id = %(id)s::uuid)
  AND CASE
      WHEN EXISTS (
          SELECT FROM tasks_taskrun AS r
          WHERE r.batch_id = b.id
            AND (r.state IN ('scheduled', 'queued', 'running')
                 OR b.completes_when = 'succeeded' AND r.state IN ('dead', 'cancelled'))
      ) THEN false
      ELSE b.total <= (SELECT count(*) FROM tasks_taskrun AS r WHERE r.batch_id = b.id)
  END
ORDER BY b.id
LIMIT %(limit)s
