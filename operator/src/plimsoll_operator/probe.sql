-- The limits of this server as the connected role meets them, and who its clients are.
--
-- Works for any role on PostgreSQL 12 and later: reserved_connections exists since 16; rows of other users hide their
-- backend_type from an unprivileged role, so a hidden type counts as a client if it has a user (autovacuum has none) and
-- a database (the replication launcher has none). CONNECTION LIMITs do not bind superusers.
SELECT current_setting('server_version')                                          AS version,
       current_setting('max_connections')::int                                    AS max_connections,
       current_setting('superuser_reserved_connections')::int                     AS superuser_reserved,
       coalesce(current_setting('reserved_connections', true)::int, 0)            AS reserved,
       CASE WHEN r.rolsuper THEN NULL ELSE nullif(r.rolconnlimit, -1) END         AS role_limit,
       CASE WHEN r.rolsuper THEN NULL ELSE nullif(d.datconnlimit, -1) END         AS database_limit,
       to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started,
       (SELECT coalesce(jsonb_object_agg(c.application_name, c.count), '{}')
          FROM (SELECT coalesce(a.application_name, '') AS application_name, count(*)
                  FROM pg_stat_activity AS a
                 WHERE a.usename IS NOT NULL
                   AND a.datid IS NOT NULL
                   AND a.pid <> pg_backend_pid()
                   AND coalesce(a.backend_type, 'client backend') = 'client backend'
                 GROUP BY 1) AS c)                                                AS backends
  FROM pg_roles AS r, pg_database AS d
 WHERE r.rolname = current_user
   AND d.datname = current_database()
