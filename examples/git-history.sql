-- azoth:projection git version 1
--
-- What scripts/git-history makes of a repository, as tables: who committed how much in which month, and how often each
-- file was changed.

CREATE TABLE commits (
  author  TEXT NOT NULL,
  month   TEXT NOT NULL,  -- 2026-11
  commits INTEGER NOT NULL,
  PRIMARY KEY (author, month)
) WITHOUT ROWID;

CREATE TABLE files (
  path    TEXT PRIMARY KEY,
  changes INTEGER NOT NULL,
  exists_now INTEGER NOT NULL,
  last_author TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_by_changes ON files (changes);

CREATE TABLE event_types (type TEXT PRIMARY KEY, events INTEGER NOT NULL) WITHOUT ROWID;

-- azoth:on commit.made
-- azoth:optional time
INSERT INTO commits VALUES (:author, coalesce(strftime('%Y-%m', :time, 'unixepoch'), 'unknown'), 1)
  ON CONFLICT DO UPDATE SET commits = commits + 1;

-- azoth:on file.*
INSERT INTO files VALUES (:path, 1, :event_type <> 'file.deleted', :author)
  ON CONFLICT DO UPDATE SET changes = changes + 1, exists_now = excluded.exists_now, last_author = excluded.last_author;

-- azoth:on *
INSERT INTO event_types VALUES (:event_type, 1) ON CONFLICT DO UPDATE SET events = events + 1;
