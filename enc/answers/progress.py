"""How far each feed has been read into the copy, and single facts about the copy: a part of the same SQLite file.

Owns the cookie that stands for what the copy holds of a feed, and whether a
feed was read to its end at least once. Written in the transaction that brings
what it stands for, so a killed follower asks from where it really is.

Not here: what a cookie says (enc/directory/csns.py), and when it counts
(feed_intake.py).
"""

from __future__ import annotations

from enc.answers.database import Database
from enc.answers.plans import Feed


class Progress:
    """Of one open copy."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def fact(self, key: str) -> str | None:
        """Return what was kept under `key`."""
        found = self._db.column("SELECT value FROM fact WHERE key = ?", key)
        return found[0] if found else None

    def keep_fact(self, key: str, value: str) -> None:
        """Keep `value` under `key`."""
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (key, value))

    def cookie(self, feed: Feed) -> bytes | None:
        """Return the cookie that stands for what the copy holds of `feed`."""
        found = self._db.column("SELECT cookie FROM feed WHERE name = ?", feed)
        return found[0] if found else None

    def keep_cookie(self, feed: Feed, cookie: bytes | None) -> None:
        """Keep the cookie for `feed`; None: begin from the start next time."""
        self._db.execute(
            "INSERT INTO feed (name, cookie) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET cookie = ?2",
            (feed, cookie),
        )

    def complete(self, feed: Feed) -> bool:
        """Tell whether `feed` was read to its end at least once."""
        return self._db.column("SELECT complete FROM feed WHERE name = ?", feed) == [1]

    def keep_complete(self, feed: Feed) -> None:
        """Note that `feed` was read to its end."""
        self._db.execute(
            "INSERT INTO feed (name, complete) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET complete = 1", (feed,)
        )
