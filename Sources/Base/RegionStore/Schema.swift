import GRDB

/// The tables and how they came to be. A released migration never changes; a new one is added at the end.
enum Schema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 records, tasks, events") { db in
      try db.execute(
        sql: """
          CREATE TABLE record (
            account TEXT NOT NULL, region TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL,
            version INTEGER NOT NULL, json TEXT NOT NULL, indexed TEXT,
            PRIMARY KEY (account, region, collection, id)) WITHOUT ROWID;
          CREATE TABLE record_index (
            account TEXT NOT NULL, region TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            id TEXT NOT NULL,
            PRIMARY KEY (account, region, collection, name, value, id)) WITHOUT ROWID;
          CREATE TABLE collection (name TEXT PRIMARY KEY, index_digest TEXT NOT NULL) WITHOUT ROWID;
          CREATE TABLE task (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, account TEXT NOT NULL,
            region TEXT NOT NULL, subject TEXT NOT NULL, payload BLOB NOT NULL, due REAL NOT NULL, expected_version INTEGER,
            attempt INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, last_error TEXT,
            owner TEXT, leased_until REAL);
          CREATE INDEX task_due ON task (due, seq) WHERE owner IS NULL;
          CREATE INDEX task_leased ON task (leased_until) WHERE owner IS NOT NULL;
          CREATE TABLE event (position INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, json TEXT NOT NULL);
          CREATE TABLE consumer_position (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
          CREATE TABLE quarantine (
            account TEXT NOT NULL, region TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
            content BLOB NOT NULL, reason TEXT NOT NULL, time REAL NOT NULL,
            PRIMARY KEY (account, region, collection, id, version)) WITHOUT ROWID;
          CREATE TABLE home (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
          """)
    }
    return migrator
  }
}
