-- The licence is known to sessions in which the extension is loaded; elsewhere it is found out on creation.
SELECT current_setting('server_version'),
       (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       coalesce('timescaledb' = ANY (string_to_array(
           replace(current_setting('shared_preload_libraries', true), ' ', ''), ','
       )), false),
       current_setting('timescaledb.license', true),
       has_database_privilege(current_database(), 'CREATE')
