-- Give entries to other runs.
UPDATE tasks_entry AS e
SET run_id = m.run_id
FROM unnest(%(ids)s::uuid[], %(run_ids)s::uuid[]) AS m (id, run_id)
WHERE e.id = m.id
