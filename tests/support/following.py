"""A follower as a real process on a real slapd, and what tests ask about its answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from enc.answers.layout import Layout, link
from enc.answers.reader import read_contact
from enc.answers.status import FollowerStatus, status
from enc.classify.classify import Classifier
from enc.classify.render import render_answer, render_data
from enc.directory.ldap_store import LdapSource
from enc.settings import Duration, config
from enc.terms.errors import ClassificationError
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname
from tests.support.forked import Forked
from tests.support.replicas import Group
from tests.support.slapd import Slapd

SUFFIX = "dc=example,dc=org"
HOSTS = f"ou=hosts,{SUFFIX}"
KIND = ["device", "puppetClient", "puppetmasterClassification"]
REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUICK = Path(__file__).with_name("quick.py")


def eventually(true: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until `true()` is; fail with `what` if it never gets so, for which even a busy machine has time enough."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


class Following:
    """One answers directory, its configuration, and the follower that may be running on it."""

    def __init__(self, base: Path, slapd: Slapd | Group, **sections: dict[str, object]) -> None:
        base.mkdir(exist_ok=True)
        self._server = slapd
        self.configuration = base / "config.yaml"
        self.log = base / "follow.log"
        document = yaml.safe_load(slapd.configuration())
        document["directory"]["timeout"] = "5s"
        document["answers"] = {"directory": str(base / "answers")}
        document["follow"] = {"poll_interval": "300ms"}
        for section, values in sections.items():
            document.setdefault(section, {}).update(values)
        self.configuration.write_text(yaml.safe_dump(document))
        self.settings = config.load(self.configuration)
        self.layout = Layout(self.settings.answers.directory)
        link(self.configuration, self.layout.root)
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def slapd(self) -> Slapd:
        """The one server that is followed."""
        assert isinstance(self._server, Slapd)
        return self._server

    def start(self, *, wait: bool = True, forked: bool = False) -> None:
        """Start `enc-admin follow`, or with `forked` what it does; with `wait`, return when its answers are current."""
        words = ("follow", str(self.configuration), "0.2")
        if forked:
            self._process = Forked(words, self.log)
        else:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen([sys.executable, QUICK, *words], stderr=log, cwd="/")
        if wait:
            self.current()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def current(self) -> None:
        """Wait until the follower says from now on that all is equal to LDAP."""
        since = time.time()
        try:
            eventually(lambda: self._is_current(since), "current")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log.read_text()[-2000:]}") from error

    def _is_current(self, since: float) -> bool:
        contact = read_contact(self.layout)
        return contact is not None and contact.state == "current" and contact.contact > since

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the follower, if it runs; return its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        result = self._process.wait(timeout=120)
        self._process = None
        return result

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within: the follower does nothing, and does not know of it."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def status(self) -> FollowerStatus:
        return status(self.settings)

    # What is on disk

    def text(self, certname: str) -> str | None:
        try:
            return (self.layout.nodes / f"{certname}.yaml").read_text()
        except FileNotFoundError:
            return None

    def answer(self, certname: str) -> dict[str, object] | None:
        text = self.text(certname)
        return None if text is None else yaml.safe_load(text + " 0")

    def classes(self, certname: str) -> list[str] | None:
        found = self.answer(certname)
        return None if found is None else list(found["classes"])  # type: ignore[call-overload]

    def enc(self, *arguments: str, program: str = "enc", **environment: str) -> tuple[int, str]:
        """Run `enc` as puppetserver does; return exit status and stdout. stderr must stay empty."""
        done = subprocess.run(
            [BIN.parent.parent / "enc" / program, "--config", self.configuration, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        )
        return done.returncode, done.stdout

    def all_on_disk(self) -> dict[str, tuple[str | None, str | None]]:
        """Every node's answer and hiera data."""

        names = {path.name.removesuffix(".yaml") for path in self.layout.nodes.iterdir()}
        return {name: (self.text(name), _read(self.layout.node_data / f"{name}.yaml")) for name in names}

    def from_scratch(
        self, uri: str | None = None, *, only: Collection[str] | None = None
    ) -> dict[str, tuple[str | None, str | None]]:
        """The same, classified anew straight from LDAP, or from the server at `uri`; `only` these nodes if given."""
        uris = (uri,) if uri else self.settings.directory.uris
        settings = replace(self.settings, directory=replace(self.settings.directory, uris=uris, timeout=Duration(10)))
        classifier, nodes = Classifier(settings), NodeFilter(settings.nodes.filter)
        found: dict[str, tuple[str | None, str | None]] = {}
        with LdapSource(settings) as source:
            all_names = {name for record in source.all_nodes() for name in nodes.names(record)}
            for name in all_names if only is None else only:
                try:
                    what = classifier.classify(Certname(name), source)
                except ClassificationError:
                    continue
                data = render_data(what.data) if what.data else None
                found[name] = (render_answer(what, settings.answers.variable, "copy"), data)
        return found

    def assert_true(self, uri: str | None = None) -> None:
        """All answers equal a classification from scratch, within moments."""
        eventually(lambda: self.all_on_disk() == self.from_scratch(uri), "answers equal LDAP")


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def add_project(slapd: Slapd, name: str, **attributes: object) -> None:
    """Add a project and the container of its nodes."""
    slapd.add(
        f"cn={name},ou=projects,{SUFFIX}",
        {
            "objectClass": ["groupOfNames", "puppetClient", "puppetmasterClassification"],
            "member": f"uid=somebody,ou=people,{SUFFIX}",
            **attributes,
        },
    )
    slapd.add(f"ou={name},{HOSTS}", {"objectClass": ["organizationalUnit"]})


def node_dn(certname: str, project: str = "alpha") -> str:
    return f"cn={certname},ou={project},{HOSTS}"


def add_node(slapd: Slapd, certname: str, project: str = "alpha", **attributes: object) -> None:
    slapd.add(node_dn(certname, project), {"objectClass": KIND, **attributes})
