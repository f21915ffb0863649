"""The toolkit's installer asks a real index over HTTP that offers changed files or newer releases: it takes none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.installer import Installer, wheel


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Path]:
    """Where those wheels of `theirs` lie that an index on this machine offers, to a pip that asks no other."""
    place = tmp_path / "simple/theirs"
    place.mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}/simple"
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {address}\nno-cache-dir = true\n")
        yield place
        server.shutdown()


def test_an_index_that_offers_other_files_or_releases_is_refused(index: Path, tmp_path: Path) -> None:
    installer = Installer(tmp_path)
    ours, sound = wheel(tmp_path, "ours", "0.1", "theirs>=1.0"), wheel(index, "theirs", "1.0")
    lock = installer.lock(sound)
    whole = sound.read_bytes()

    # The release of the lock, but its file is another; beside it a newer one
    wheel(index, "theirs", "1.0", programs={"evil": "#!/bin/sh\n"})
    wheel(index, "theirs", "2.0")
    said = installer.run(ours, lock)
    assert said.returncode and "DO NOT MATCH" in said.stderr, said.stderr
    assert installer.has() == {} and not (tmp_path / "venv").exists()

    # Only newer ones
    sound.unlink()
    said = installer.run(ours, lock)
    assert said.returncode and "theirs==1.0" in said.stderr and installer.has() == {}, said.stderr

    # A package that the lock does not name, whatever the index has of it
    needy = wheel(tmp_path, "ours", "0.2", "theirs", "more")
    (index.parent / "more").mkdir()
    wheel(index.parent / "more", "more", "1.0")
    sound.write_bytes(whole)
    said = installer.run(needy, lock)
    assert said.returncode and "more" in said.stdout + said.stderr and "more" not in installer.has()

    # What the lock names is taken, and stays, though a newer one is there
    assert (said := installer.run(ours, lock)).returncode == 0, said.stderr
    assert installer.has() == {"ours": "0.1", "theirs": "1.0"}
