"""What the modelled Hyper-V hosts remember: their machines and files.

A world is shared by the hosts in it, so that a machine can move from one to another. In memory for tests of one
process; in a file (SQLite), so that machines outlive the plugin and hosts of several processes see each other.
"""

import contextlib
import json
import sqlite3
import threading


class World:
    def __init__(self, path=":memory:"):
        self._lock = threading.RLock()
        self._depth = 0
        self._users = 0
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        with self._lock:
            if path != ":memory:":
                self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS entries"
                " (host TEXT, kind TEXT, name TEXT, value TEXT, PRIMARY KEY (host, kind, name)) WITHOUT ROWID")

    @contextlib.contextmanager
    def change(self):
        """All of it or nothing, alone."""
        with self._lock:
            if self._depth == 0:
                self._database.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._database.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._database.execute("COMMIT")

    def _rows(self, text, values):
        with self._lock:
            return self._database.execute(text, values).fetchall()

    def get(self, host, kind, name):
        rows = self._rows("SELECT value FROM entries WHERE host = ? AND kind = ? AND name = ?", (host, kind, name))
        return json.loads(rows[0][0]) if rows else None

    def all(self, host, kind, prefix=""):
        rows = self._rows(
            "SELECT name, value FROM entries WHERE host = ? AND kind = ? AND substr(name, 1, ?) = ? ORDER BY name",
            (host, kind, len(prefix), prefix))
        return [(name, json.loads(value)) for name, value in rows]

    def put(self, host, kind, name, value):
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                                   (host, kind, name, json.dumps(value)))

    def remove(self, host, kind, name):
        with self._lock:
            self._database.execute("DELETE FROM entries WHERE host = ? AND kind = ? AND name = ?", (host, kind, name))

    def enter(self):
        with self._lock:
            self._users += 1

    def leave(self):
        """The last host that leaves closes it."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._database.close()
