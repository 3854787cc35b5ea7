-- Who may not see which libraries the server has loaded sees a setting that this one brings with it. The licence
-- is known to sessions in which the extension is loaded; elsewhere it is found out on creation.
SELECT current_setting('server_version'),
       (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') THEN 'timescaledb' = ANY (
           string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ',')
       ) ELSE current_setting('timescaledb.max_background_workers', true) IS NOT NULL END,
       current_setting('timescaledb.license', true),
       has_database_privilege(current_database(), 'CREATE')
