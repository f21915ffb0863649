"""`kill -9` of the follower at random moments, under a stream of changes, with a reader that looks at every answer.

Each change writes one number into several places of one node, so an answer
that is not of one version shows it by different numbers.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.following import Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import REPLACE, Refused, Slapd

KILLS = 200
SIDE_BY_SIDE = 4
"""Followers of one slapd, each with answers of its own: a kill mostly waits for its moment."""
PAUSE = 0.005
"""Seconds between two changes, and between two readings of all answers: less than a follower takes for a change."""
NODES = [f"n{number}.example.org" for number in range(8)]
COMES_AND_GOES = "sometimes.example.org"


class Stream(threading.Thread):
    """Changes nodes, project and prefix all the time."""

    def __init__(self, slapd: Slapd) -> None:
        super().__init__()
        self.slapd = slapd
        self.stop = threading.Event()
        self.changes = 0

    def run(self) -> None:
        rng = random.Random(1)
        while not self.stop.is_set():
            self.changes += 1
            version = f"v{self.changes}"
            try:
                kind = rng.randrange(10)
                if kind == 0:
                    self.slapd.modify("cn=alpha,ou=projects,dc=example,dc=org", {"puppetVar": [(REPLACE, [version])]})
                elif kind == 1:
                    add_node(self.slapd, COMES_AND_GOES, puppetClass="ntp")
                elif kind == 2:
                    self.slapd.delete(node_dn(COMES_AND_GOES))
                else:
                    said = [f"a={version}", f"b={version}", f"c={version} {'x' * rng.randrange(6000)}"]
                    self.slapd.modify(node_dn(rng.choice(NODES)), {"puppetVar": [(REPLACE, said)]})
            except Refused:
                pass  # it is there already, or not there
            time.sleep(PAUSE)


class Reader(threading.Thread):
    """Reads every answer again and again, as `enc` would, and judges it."""

    def __init__(self, followers: list[Following]) -> None:
        super().__init__()
        self.followers = followers
        self.stop = threading.Event()
        self.read = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            for following, name in itertools.product(self.followers, NODES):
                text = following.text(name)
                if text is None:
                    self.wrong.append(f"{name}: no answer")
                    continue
                self.read += 1
                whole = text.startswith("# {") and text.endswith('"age":')
                versions = set(re.findall(r'^  "[abc]": "(v\d+)', text, re.MULTILINE))
                if not whole or len(versions) > 1:
                    self.wrong.append(text)
            time.sleep(PAUSE)


@contextmanager
def running(thread: Stream | Reader) -> Iterator[None]:
    thread.start()
    try:
        yield
    finally:
        thread.stop.set()
        thread.join()


def refreshed(followers: list[Following]) -> int:
    """How often a follower has read all nodes."""
    return sum(following.log.read_text().count("nodes: refreshed") for following in followers)


def test_killed_at_any_moment(slapd: Slapd, tmp_path: Path) -> None:
    add_project(slapd, "alpha")
    for name in NODES:
        add_node(slapd, name, puppetVar=["a=v0", "b=v0", "c=v0"])
    followers = [Following(tmp_path / f"f{number}", slapd) for number in range(SIDE_BY_SIDE)]
    try:
        for following in followers:
            following.start()
        for following in followers:
            following.end(signal.SIGKILL)
        before, began = refreshed(followers), time.monotonic()
        for following in followers:
            following.start(wait=False, forked=True)
        eventually(lambda: refreshed(followers) >= before + SIDE_BY_SIDE, "all have begun")
        # Some die while they start, some in the refresh, most while changes stream in:
        # at moments that follow the pace of the machine, which all that runs here slows down.
        starting = time.monotonic() - began
        stream, reader = Stream(slapd), Reader(followers)
        rng = random.Random(2)
        due = [(time.monotonic() + rng.uniform(0.2, 2.2) * starting, number) for number in range(SIDE_BY_SIDE)]
        with running(reader), running(stream):
            for kill in itertools.count(1):
                if kill > KILLS and refreshed(followers) - before > KILLS // 4:
                    break
                assert kill < 3 * KILLS, "most died before they did anything"
                moment, number = heapq.heappop(due)
                time.sleep(max(0.0, moment - time.monotonic()))
                followers[number].end(signal.SIGKILL)
                followers[number].start(wait=False, forked=True)
                heapq.heappush(due, (time.monotonic() + rng.uniform(0.2, 2.2) * starting, number))
        assert reader.wrong == []
        assert reader.read > KILLS and stream.changes > KILLS
        for following in followers:
            following.end(signal.SIGKILL)
            following.start()
            following.assert_true()
            assert not [path for path in following.layout.tmp.iterdir() if path.name != str(following.pid)]
    finally:
        for following in followers:
            following.end()
