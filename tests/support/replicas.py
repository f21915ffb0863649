"""Several slapds that replicate: providers that all write (delta or plain syncrepl), and read-only replicas.

The smallest configuration that replicates; who may do what is not the matter
here: everybody reads, the manager writes.

No session log by default: with one, slapd 2.5 tells a consumer of deletions
first, with their CSN, and the consumer then ignores changes of other entries
that are older; the servers differ for ever and say that they are equal.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ldap3 import NONE, SYNC, Connection, Server
from ldap3.core.exceptions import LDAPException

from enc.directory import csns, embedded_config, place, slapd_process
from enc.directory.csns import Csns
from enc.directory.schema.install import write_files
from tests.support.slapd import REPLACE, Changes, checked

SUFFIX = "dc=example,dc=org"
MANAGER, PASSWORD = f"cn=manager,{SUFFIX}", "secret"
_MODULES = ("back_mdb", "syncprov", "accesslog")


class Replica:
    """One slapd of a group."""

    def __init__(self, base: Path, number: int, *, writes: bool, delta: bool, session_log: int) -> None:
        self.number, self.writes, self.port = number, writes, place.free_port()
        self._base, self._delta, self._session_log = base / f"server{number}", delta, session_log
        self._database, self._log = self._base / "db", self._base / "log"
        self._configuration = self._base / "slapd.conf"
        self._process: subprocess.Popen[bytes] | None = None
        for directory in (self._database, self._log):
            directory.mkdir(parents=True)

    @property
    def uri(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    def configure(self, providers: Sequence[Replica]) -> None:
        """Let it take changes from `providers`; needs a restart."""
        directory, modules = slapd_process.modules(_MODULES)
        schemas = [slapd_process.schema_directory() / f"{name}.schema" for name in embedded_config.SYSTEM_SCHEMAS]
        lines = [
            *(f"include {path}" for path in (*schemas, *write_files(self._base))),
            *([f"modulepath {directory}"] if directory else []),
            *(f"moduleload {name}" for name in modules),
            f"pidfile {self._base / 'pid'}",
            *([f"serverID {self.number}"] if self.writes else []),
            "access to * by * read",
        ]
        delta = self._delta and self.writes
        if delta:
            lines += [
                *("database mdb", "suffix cn=accesslog", f"directory {self._log}", f'rootdn "{MANAGER}"'),
                "index entryCSN,objectClass,reqEnd,reqResult,reqStart,reqDN eq",
                *("overlay syncprov", "syncprov-nopresent TRUE", "syncprov-reloadhint TRUE"),
                f'limits dn.exact="{MANAGER}" size=unlimited time=unlimited',
            ]
        lines += [
            *("database mdb", f'suffix "{SUFFIX}"', f'rootdn "{MANAGER}"', f"rootpw {PASSWORD}"),
            *(f"directory {self._database}", "index objectClass,cn,entryUUID,entryCSN eq", "limits * size=unlimited"),
        ]
        for provider in providers:
            lines.append(
                f"syncrepl rid={provider.number:03d} provider={provider.uri} bindmethod=simple"
                f' binddn="{MANAGER}" credentials={PASSWORD} searchbase="{SUFFIX}" type=refreshAndPersist'
                ' retry="1 +" timeout=5 network-timeout=2'
                + (
                    ' logbase="cn=accesslog" logfilter="(&(objectClass=auditWriteObject)(reqResult=0))"'
                    " syncdata=accesslog"
                    if self._delta
                    else ""
                )
            )
        lines += [
            *(["multiprovider on"] if self.writes and len(providers) > 0 else []),
            *("overlay syncprov", "syncprov-checkpoint 100 1"),
            *([f"syncprov-sessionlog {self._session_log}"] if self._session_log else []),
        ]
        if delta:
            lines += ["overlay accesslog", "logdb cn=accesslog", "logops writes", "logsuccess TRUE"]
        self._configuration.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        log = (self._base / "slapd.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [slapd_process.program("slapd"), "-f", self._configuration, "-h", self.uri, "-d", "none"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            words = (self._base / "slapd.log").read_text()[-2000:]
            assert self._process.poll() is None and time.monotonic() < deadline, words
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.connect().unbind()
        except LDAPException:
            return False
        return True

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, if it runs, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # 2.5's slapd may wait for ever for a provider that is away
                self._process.kill()
                self._process.wait()
            self._process = None

    def connect(self) -> Connection:
        server = Server(self.uri, get_info=NONE, connect_timeout=60)
        return checked(Connection(server, MANAGER, PASSWORD, client_strategy=SYNC, auto_bind=True, receive_timeout=60))

    def add(self, dn: str, attributes: dict[str, object]) -> None:
        with self.connect() as connection:
            connection.add(dn, attributes=attributes)
            checked(connection)

    def modify(self, dn: str, changes: Changes) -> None:
        with self.connect() as connection:
            connection.modify(dn, dict(changes))
            checked(connection)

    def delete(self, dn: str) -> None:
        with self.connect() as connection:
            connection.delete(dn)
            checked(connection)

    def rename(self, dn: str, rdn: str, new_superior: str | None = None) -> None:
        with self.connect() as connection:
            connection.modify_dn(dn, rdn, new_superior=new_superior)
            checked(connection)

    def content(self) -> dict[str, tuple[str, str]]:
        """(DN, entryCSN) by entryUUID; empty for a replica that has not copied anything yet."""
        with self.connect() as connection:
            connection.search(SUFFIX, "(objectClass=*)", attributes=["entryUUID", "entryCSN"])
            found = connection.response or []
            raw = [(entry["dn"], entry["raw_attributes"]) for entry in found if "raw_attributes" in entry]
            return {values["entryUUID"][0].decode(): (dn, values["entryCSN"][0].decode()) for dn, values in raw}

    def csns(self) -> Csns:
        """How far it has got."""
        with self.connect() as connection:
            connection.search(SUFFIX, "(objectClass=*)", "BASE", attributes=["contextCSN"])
            found = connection.response or []
            return csns.of_values(v.decode() for entry in found for v in entry["raw_attributes"]["contextCSN"])


class Group:
    """`providers` servers that write, and `replicas` that copy from each of them."""

    def __init__(self, base: Path, *, providers: int, replicas: int = 0, delta: bool = False, session_log: int = 0):
        self.servers = [
            Replica(base, number, writes=number <= providers, delta=delta, session_log=session_log)
            for number in range(1, providers + replicas + 1)
        ]
        writing = self.servers[:providers]
        for server in self.servers:
            others = [other for other in writing if other is not server]
            server.configure(others if server.writes else writing)
        first, *rest = self.servers
        first.start()
        for dn, attributes in _TREE:
            first.add(dn, attributes)
        for server in rest:
            server.start()
        self.settle()
        for server in writing:  # what arrives everywhere from each shows that all links stand
            server.modify(f"cn=site,{SUFFIX}", {"description": [(REPLACE, [f"written by {server.number}"])]})
            self.settle()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.end(signal.SIGKILL)

    @property
    def providers(self) -> list[Replica]:
        return [server for server in self.servers if server.writes]

    def configuration(self) -> str:
        """The `directory:` section that names all servers, as YAML; the password file is the caller's."""
        return f"directory:\n  uris: [{', '.join(server.uri for server in self.servers)}]\n  suffix: {SUFFIX}\n"

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until all servers that run have the same content."""
        contents = self._settled(seconds)
        assert not contents, f"the servers do not become equal: {_differing(contents)}"

    def _settled(self, seconds: float) -> list[dict[str, tuple[str, str]]]:
        deadline = time.monotonic() + seconds
        running = [server for server in self.servers if server.runs]
        while True:
            contents = [server.content() for server in running]
            if contents[0] and all(content == contents[0] for content in contents):
                return []
            if time.monotonic() > deadline:
                return contents
            time.sleep(0.1)

    def truth(self, seconds: float) -> Replica | None:
        """Return the server that has all that any has, once they are equal or `seconds` have passed; None if none has.

        slapd 2.5's delta replication may stand still after a server was killed, until something else changes.
        """
        self._settled(seconds)
        seen = [(server, server.csns()) for server in self.servers]
        return next((one for one, has in seen if all(has.covers(other) for _, other in seen)), None)


def _differing(contents: list[dict[str, tuple[str, str]]]) -> list[list[tuple[str, str] | None]]:
    uuids = {uuid for content in contents for uuid in content}
    rows = [[content.get(uuid) for content in contents] for uuid in sorted(uuids)]
    return [row for row in rows if any(version != row[0] for version in row)]


_TREE: list[tuple[str, dict[str, object]]] = [
    (SUFFIX, {"objectClass": ["dcObject", "organization"], "dc": "example", "o": "example"}),
    (f"ou=hosts,{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": "hosts"}),
    (f"ou=projects,{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": "projects"}),
    (f"ou=groups,{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": "groups"}),
    (f"cn=site,{SUFFIX}", {"objectClass": ["puppetmasterScope", "puppetClient"], "cn": "site"}),
]
