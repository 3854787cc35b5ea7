-- Hypertables; of a continuous aggregate the one that holds what is materialised. TimescaleDB knows how many rows are
-- compressed; for the others it asks statistics, which new chunks have none of: a page of theirs is taken to be full,
-- as in sizes_portable.sql.
WITH given AS (
    SELECT name, number,
           coalesce(
               (SELECT format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)
                FROM timescaledb_information.continuous_aggregates WHERE view_name = name),
               name
           )::regclass AS id
    FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, number)
)
SELECT given.name, greatest(approximate_row_count(given.id), pages.rows), coalesce(hypertable_size(given.id), 0),
       coalesce(stats.total_chunks, 0)::integer, coalesce(stats.number_compressed_chunks, 0)::integer,
       stats.before_compression_total_bytes, stats.after_compression_total_bytes,
       (SELECT min(range_start) FROM timescaledb_information.chunks
        WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = given.id)
FROM given
LEFT JOIN LATERAL hypertable_columnstore_stats(given.id) AS stats ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum(
        pg_relation_size(c.oid) / page.size * CASE
            WHEN c.reltuples >= 0 AND c.relpages > 0 THEN c.reltuples / c.relpages
            ELSE (page.size - 24) / CASE WHEN given.name = 'candle_1m' THEN 84 ELSE 92 END
        END
    ), 0)::bigint AS rows
    FROM show_chunks(given.id) AS chunk
    JOIN pg_class AS c ON c.oid = chunk
    CROSS JOIN (SELECT current_setting('block_size')::integer AS size) AS page
) AS pages
ORDER BY given.number
