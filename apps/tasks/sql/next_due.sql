-- Seconds until the next run falls due. Runs that are due and wait for their keys say nothing: the end of
-- another run wakes the relay. (An index finds what is later than a moment that does not move.)
SELECT extract(epoch FROM least(
    (SELECT min(due_at) FROM tasks_taskrun WHERE state = 'scheduled' AND gate = ''),
    (SELECT min(due_at) FROM tasks_taskrun
     WHERE state = 'scheduled' AND gate <> '' AND due_at > statement_timestamp())
) - clock_timestamp())
