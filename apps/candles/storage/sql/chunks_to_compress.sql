-- Chunks that are old enough and not compressed, or compressed and changed afterwards (status bit 8: partial).
SELECT chunk.id, chunk.is_compressed
FROM unnest(%(names)s::text[], %(ages)s::interval[]) AS given (name, age)
LEFT JOIN timescaledb_information.continuous_aggregates AS a ON a.view_name = given.name
JOIN LATERAL (
    SELECT format('%%I.%%I', c.chunk_schema, c.chunk_name) AS id, c.is_compressed, c.range_start
    FROM timescaledb_information.chunks AS c
    WHERE c.hypertable_name = coalesce(a.materialization_hypertable_name, given.name)
      AND c.range_end < now() - given.age
) AS chunk ON NOT chunk.is_compressed OR _timescaledb_functions.chunk_status(chunk.id::regclass) & 8 = 8
ORDER BY chunk.range_start, chunk.id
