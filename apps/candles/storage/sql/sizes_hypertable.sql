-- Hypertables; of a continuous aggregate the one that holds what is materialised.
WITH given AS (
    SELECT name, number,
           coalesce(
               (SELECT format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)
                FROM timescaledb_information.continuous_aggregates WHERE view_name = name),
               name
           )::regclass AS id
    FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, number)
)
SELECT given.name, approximate_row_count(given.id), coalesce(hypertable_size(given.id), 0),
       coalesce(stats.total_chunks, 0)::integer, coalesce(stats.number_compressed_chunks, 0)::integer,
       stats.before_compression_total_bytes, stats.after_compression_total_bytes
FROM given
LEFT JOIN LATERAL hypertable_columnstore_stats(given.id) AS stats ON true
ORDER BY given.number
