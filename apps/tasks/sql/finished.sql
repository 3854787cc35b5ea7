-- Since when nothing more will happen to a run; null while something may.
CASE
    WHEN state IN ('succeeded', 'dead', 'cancelled') AND NOT dead_letter_due AND NOT alert_due
        AND (
            batch_id IS NULL
            OR NOT EXISTS (
                SELECT FROM tasks_batch AS batch
                WHERE batch.id = tasks_taskrun.batch_id AND batch.state <> 'completed'
            )
            AND NOT EXISTS (
                SELECT FROM tasks_taskrun AS mate
                WHERE mate.batch_id = tasks_taskrun.batch_id
                  AND mate.state IN ('scheduled', 'queued', 'running')
            )
        )
    THEN finished_at
END
