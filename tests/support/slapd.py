"""A real slapd for a test: the product's embedded directory, plus ways to hurt it.

Everything goes through `EmbeddedDirectory`; here stand only what tests do to a
server (kill it, freeze it, fill it) and short forms for writing to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from ldap3 import ANONYMOUS, MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, NONE, SASL, SIMPLE, Connection, Server
from ldap3.core.results import RESULT_SUCCESS

from enc.directory.embedded import EmbeddedDirectory
from enc.directory.embedded_config import StartOptions

ADD, DELETE, REPLACE = MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE
Changes = Mapping[str, Sequence[tuple[str, Sequence[str]]]]


class Refused(Exception):
    """The server's answer was no; `code` is LDAP's result code, `description` ldap3's word for it."""

    def __init__(self, result: Mapping[str, object]) -> None:
        super().__init__(f"{result['description']}: {result['message']}")
        self.code = result["result"]
        self.description = str(result["description"])


class Slapd:
    """One running slapd in a directory of its own; `directory` is the product's object."""

    def __init__(
        self,
        data_dir: Path,
        *,
        suffix: str = "dc=example,dc=org",
        tree: bool = True,
        ldif: Sequence[Path] = (),
        options: StartOptions | None = None,
    ) -> None:
        self.directory = EmbeddedDirectory(data_dir, suffix)
        self.options = options or StartOptions()
        self.directory.init(tree=tree, ldif=ldif)
        self.directory.start(self.options)

    @property
    def suffix(self) -> str:
        return self.directory.home.suffix

    @property
    def ldapi_uri(self) -> str:
        return self.directory.home.ldapi_uri

    @property
    def ldap_uri(self) -> str:
        return self.directory.home.ldap_uri

    @property
    def pid(self) -> int:
        pid = self.directory.process.pid
        assert pid is not None, "slapd does not run"
        return pid

    def start(self, **changes: object) -> None:
        """Start, with some of the options changed from now on: `start(session_log=0)`."""
        self.options = replace(self.options, **changes)  # type: ignore[arg-type]
        self.directory.start(self.options)

    def stop(self) -> None:
        self.directory.stop()

    def restart(self, **changes: object) -> None:
        self.stop()
        self.start(**changes)

    def kill9(self) -> None:
        """End it as a power cut would, and return when it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Within: it accepts connections (the kernel does) and never answers."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        # The signal takes its time: a thread that still runs would answer.
        while any(
            task.read_text().rpartition(")")[2].split()[0] != "T" for task in Path(f"/proc/{pid}/task").glob("*/stat")
        ):
            time.sleep(0.001)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def connect(self, dn: str | None = None, password: str | None = None) -> Connection:
        """Return a bound connection: the manager's over ldapi, or that of `dn`; raise `Refused`."""
        if dn is None:
            server = Server(self.ldapi_uri, get_info=NONE)
            connection = Connection(server, authentication=SASL, sasl_mechanism="EXTERNAL", sasl_credentials="")
        else:
            server = Server(self.ldap_uri, get_info=NONE, connect_timeout=60)
            kind = SIMPLE if dn else ANONYMOUS
            connection = Connection(server, user=dn or None, password=password, authentication=kind, receive_timeout=60)
        connection.bind()
        return checked(connection)

    def add(self, dn: str, attributes: Mapping[str, object]) -> None:
        """Add an entry as the manager; `attributes` include objectClass."""
        with self.connect() as connection:
            connection.add(dn, attributes=dict(attributes))
            checked(connection)

    def modify(self, dn: str, changes: Changes) -> None:
        """Modify as the manager: `{"puppetClass": [(ADD, ["ntp"])]}`."""
        with self.connect() as connection:
            connection.modify(dn, dict(changes))
            checked(connection)

    def delete(self, dn: str) -> None:
        with self.connect() as connection:
            connection.delete(dn)
            checked(connection)

    def load_ldif(self, ldif: str | Path) -> None:
        """Add entries (text, or a file) as the manager."""
        text = ldif.read_text(encoding="utf-8") if isinstance(ldif, Path) else ldif
        subprocess.run(
            ["ldapadd", "-Q", "-Y", "EXTERNAL", "-H", self.ldapi_uri],
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def configuration(self, **sections: Mapping[str, object]) -> str:
        """A configuration as YAML that reads this server, whose files are beside the server's; `sections` say more."""
        beside = self.directory.home.data_dir.parent
        document = yaml.safe_load(self.directory.home.example_configuration.read_text(encoding="utf-8"))
        places: Mapping[str, Mapping[str, object]] = _places(beside / f"{self.directory.home.data_dir.name}-site")
        for name, values in (*places.items(), *sections.items()):
            document[name] = {**document.get(name, {}), **values}
        text: str = yaml.safe_dump(document)
        return text


def _places(base: Path) -> dict[str, dict[str, object]]:
    """Return the settings of files that are the machine's own if a configuration does not name others."""
    return {
        "answers": {"directory": str(base / "answers")},
        "audit": {"file": str(base / "audit/trail.jsonl")},
        "branches": {name: str(base / name) for name in ("repository", "store", "environments")},
        "instances": {
            "token_key_file": str(base / "token.key"),
            "journal": str(base / "instances/journal"),
            "runs": str(base / "instances/runs"),
        },
        "signing": {"journal": str(base / "signing/journal.jsonl")},
    }


def checked(connection: Connection) -> Connection:
    """Return `connection`; raise `Refused` if its last operation failed."""
    if connection.result["result"] != RESULT_SUCCESS:
        raise Refused(connection.result)
    return connection
