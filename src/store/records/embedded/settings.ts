// The embedded server's settings, given on its command line at each start, so a newer Virga brings its own and nobody has
// to merge a postgresql.conf. Sized for a 2-core machine with other things to do: idle it takes about 25 MB.
// Called by server.ts.

export function settingsFor(options: { major: number; socketFolder: string; fsync: boolean }): string[] {
  const settings: Record<string, string> = {
    // No network at all: the only way in is a socket in a folder that is closed to other users.
    listen_addresses: '',
    unix_socket_directories: options.socketFolder,
    unix_socket_permissions: '0700',
    cluster_name: 'virga',
    // Pools of all roles together may open about 60; an idle one costs next to nothing.
    max_connections: '80',
    shared_buffers: '64MB',
    work_mem: '4MB',
    maintenance_work_mem: '32MB',
    // A query that spills more than this to disk is stopped instead of filling it.
    temp_file_limit: '1GB',
    fsync: options.fsync ? 'on' : 'off',
    max_wal_size: '256MB',
    min_wal_size: '32MB',
    huge_pages: 'off',
    jit: 'off',
    autovacuum: 'on',
    autovacuum_max_workers: '2',
    // Of queues most rows are dead soon; after a minute at full speed receivers would step over half a million.
    autovacuum_naptime: '10s',
    max_worker_processes: '4',
    max_parallel_workers_per_gather: '0',
    max_logical_replication_workers: '0',
    // Platform log, not files: standard error is read line by line. ERROR goes to whoever sent the statement; what
    // failed may hold secrets, so no statement and no detail is ever logged.
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '',
    lc_messages: 'C',
    log_min_messages: 'warning',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    idle_in_transaction_session_timeout: '60s',
  };
  // Reading ahead through extra worker processes gains nothing on a database of this size.
  if (options.major >= 18) settings['io_method'] = 'sync';
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
