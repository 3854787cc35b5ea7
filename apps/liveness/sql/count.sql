-- Add to how many orphans of a kind were settled in a population.
INSERT INTO liveness_orphancount (population, kind, count)
VALUES (%s, %s, %s)
ON CONFLICT (population, kind) DO UPDATE SET count = liveness_orphancount.count + EXCLUDED.count
