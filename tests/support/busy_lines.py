"""Two lines of work on one site (unit_site.py), each one thing after the other, and what must be true afterwards.

`People` edit and have instances made; `Developers` push, and agents ask. Which node has which variable, and what each
branch shows, is kept here and not asked of the site. What went wrong is in `failures`, in words; the line goes on.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.requests_made import pem, request
from tests.support.unit_site import REPORT, REPORTS, RUNS, UnitSite

ROLES = "class role::web { }\nclass role::db { }\n"
LIVE = "/etc/puppet/code/environments"
REPOSITORY = "http://alice:secret-of-alice@127.0.0.1:8418/repository.git"
_UNDO = re.compile(r"enc-admin node undo (\S+)")
_NOT_YET = 60.0
"""Seconds that the follower has for an edit's answer."""


class Line:
    """One line of work: `work` does each of its `kinds` in turn."""

    def __init__(self, site: UnitSite) -> None:
        self.site = site
        self.done = Counter[str]()
        self.longest: dict[str, float] = {}
        """Kind → seconds that it took at most."""
        self.failures: list[str] = []
        self.numbers = itertools.count(1)

    def kinds(self) -> dict[str, Callable[[], None]]:
        """Return name → what does one piece of it."""
        raise NotImplementedError

    def work(self, goes_on: Callable[[], bool], pause: float) -> None:
        """Do all kinds once, then go on while `goes_on`."""
        for rounds in itertools.count():
            for kind, act in self.kinds().items():
                if rounds and not goes_on():
                    return
                began = time.monotonic()
                try:
                    act()
                except Exception as error:
                    self.failures.append(f"{kind}: {error!r:.2000}")
                self.done[kind] += 1
                self.longest[kind] = max(self.longest.get(kind, 0.0), time.monotonic() - began)
                time.sleep(pause)

    def expect(self, true: bool, what: str) -> None:
        """Note what is not so."""
        if not true:
            self.failures.append(what)


class People(Line):
    """Whoever uses `enc-admin`, and OpenStack; one project is theirs."""

    def __init__(self, site: UnitSite) -> None:
        super().__init__(site)
        self.nodes: dict[str, str | None] = {}
        """Certname → what its variable `turn` is."""
        self.gone: set[str] = set()
        self.servers: dict[str, str] = {}
        """OpenStack's: name → id."""
        self.ended: dict[str, float] = {}
        """Instances without a server → since when, by the monotonic clock."""
        self.edits: list[str] = []
        """Ids."""

    def kinds(self) -> dict[str, Callable[[], None]]:
        """Return name → what does one piece of it."""
        return {
            "node add": self._add,
            "node set": self._set,
            "instance create, sign, report": self._create,
            "node undo": self._undo,
            "member add": lambda: self._member("add"),
            "server starts": self._server_starts,
            "node set, many": self._many,
            "node unset": self._unset,
            "member remove": lambda: self._member("remove"),
            "instance delete": self._delete,
            "project add, delete": self._project,
            "server ends": self._server_ends,
            "node remove": self._remove,
        }

    def answers(self) -> Iterator[str]:
        """Yield which node is not answered as it was edited."""
        for certname, turn in self.nodes.items():
            said = self._ask(certname)
            if not _has(said, turn):
                yield f"{certname} should have turn {turn}: {said}"
        for certname in self.gone:
            if (said := self._ask(certname)) is not None:
                yield f"{certname} is removed: {said}"

    def _ask(self, certname: str) -> str | None:
        # As puppetserver does.
        asked = self.site.try_(f"setpriv --reuid puppet --regid puppet --init-groups enc {certname}")
        return asked.output if asked.status == 0 else None

    def _edit(self, words: str, shown: str = "") -> None:
        said = self.site.sh(f"enc-admin {words} --reason 'work {next(self.numbers)}'")
        found = _UNDO.findall(said)
        self.expect(len(found) == 1, f"enc-admin {words}: no id in {said}")
        self.edits += found
        if shown:
            self._shown(shown)

    def _shown(self, certname: str) -> None:
        """Wait until a node is answered as it is meant to be."""
        deadline = time.monotonic() + _NOT_YET
        while not self._right(certname):
            if time.monotonic() > deadline:
                self.failures.append(f"{certname}: no answer after {_NOT_YET} s: {self._ask(certname)}")
                return
            time.sleep(0.1)

    def _right(self, certname: str) -> bool:
        said = self._ask(certname)
        return _has(said, self.nodes[certname]) if certname in self.nodes else said is None

    def _plain(self) -> list[str]:
        """Return the nodes that are no instances."""
        return [name for name in self.nodes if name.startswith("node-")]

    def _one(self) -> str:
        plain = self._plain()
        return plain[next(self.numbers) % len(plain)]

    def _add(self) -> None:
        for _ in range(1 if self._plain() else 2):
            certname = f"node-{next(self.numbers)}.example.org"
            self.nodes[certname] = "new"
            self._edit(f"node add {certname} --project red --class role::web --variable turn=new", certname)

    def _set(self) -> None:
        certname, turn = self._one(), f"t{next(self.numbers)}"
        self.nodes[certname] = turn
        self._edit(f"node set {certname} --variable turn={turn}", certname)

    def _undo(self) -> None:
        certname = self._one()
        self._edit(f"node set {certname} --variable turn=wrong")
        self._edit(f"node undo {self.edits[-1]}", certname)

    def _unset(self) -> None:
        certname = self._one()
        self.nodes[certname] = None
        said = self.site.sh(f"enc-admin node unset {certname} --variable turn --reason unset")
        self.edits += _UNDO.findall(said)  # nothing, if it had none
        self._shown(certname)

    def _many(self) -> None:
        plain = self._plain()
        turn = f"m{next(self.numbers)}"
        self.nodes |= dict.fromkeys(plain, turn)
        self._edit(f"node set --project red --named 'node-*' --variable turn={turn} --nodes {len(plain)}", plain[-1])

    def _remove(self) -> None:
        plain = self._plain()
        for certname in plain[1 : max(2, len(plain) - 7)]:
            del self.nodes[certname]
            self.gone.add(certname)
            self._edit(f"node remove {certname}", certname)

    def _member(self, verb: str) -> None:
        self._edit(f"project member {verb} red openstack")

    def _project(self) -> None:
        """Make one, and delete the one before, whose branch the upkeep has made meanwhile."""
        number = next(self.numbers)
        self._edit(f"project add made{number} --admin alice")
        for other in self.site.sh("enc-admin project list --json | grep -o '\"made[0-9]*\"' || true").split():
            if other.strip('"') != f"made{number}":
                self._edit(f"project delete {other}")

    def _create(self) -> None:
        """An instance by hand: its request is signed, it asks, it reports."""
        certname = f"made-{next(self.numbers)}.red.example.org"
        words = f"instance create {certname.partition('.')[0]} --project red --variable turn=created"
        said = self.site.sh(f"enc-admin {words} --reason 'work' --json 2>/dev/null")
        document = json.loads(said)
        self.nodes[certname] = "created"
        asked = pem(request(name=certname, key=ec.generate_private_key(ec.SECP256R1()), token=document["token"]))
        self.site.machine.put(f"/srv/{certname}.csr", asked.decode())
        judged = "setpriv --reuid puppet --regid puppet --init-groups enc-autosign"
        self.site.sh(f"{judged} {certname} </srv/{certname}.csr && rm /srv/{certname}.csr")
        self._shown(certname)
        self._report(certname)

    def _delete(self) -> None:
        for certname in [name for name in self.nodes if name.startswith("made-")][:1]:
            # The collector looks for reports every ten seconds.
            built = partial(self._is_built, certname)
            self.site.until(built, f"{certname} is built", timeout=_NOT_YET)
            del self.nodes[certname]
            self.gone.add(certname)
            self.site.sh(f"enc-admin instance delete {certname} --reason work")
            self._shown(certname)
            self.expect(self.site.try_(f"test -e {REPORTS}/{certname}").status != 0, f"{certname} left its reports")

    def _is_built(self, certname: str) -> bool:
        noted = self.site.try_(f"test -e {RUNS}/{certname}.json").status == 0  # which costs less than to ask
        return noted and '"state": "built"' in self.site.sh(f"enc-admin instance show {certname} --json")

    def _server_starts(self) -> None:
        name, id_ = f"nova-{next(self.numbers)}", str(uuid.uuid4())
        self.servers[name] = id_
        self._servers()
        body = {"project-id": "0123456789abcdef0123456789abcdef", "instance-id": id_, "hostname": name}
        asked = f"curl -sf -H 'X-Auth-Token: {self.site.nova}' -d {shlex.quote(json.dumps(body))}"
        self.expect("cloud-boothook" in self.site.sh(f"{asked} http://127.0.0.1:8419/"), f"{name} got no vendor data")
        certname = f"{name}.red.example.org"
        self.nodes[certname] = None
        self._shown(certname)
        self._report(certname)

    def _server_ends(self) -> None:
        """OpenStack deletes it, and our timer finds that some time later."""
        if len(self.servers) > 3 or self.ended == {}:
            name = next(iter(self.servers))
            del self.servers[name]
            self._servers()
            certname = f"{name}.red.example.org"
            del self.nodes[certname]
            self.ended[certname] = time.monotonic()

    def _servers(self) -> None:
        place = self.site.machine.own / "srv/stubs/servers.json"
        new = place.with_suffix(".new")
        new.write_text(json.dumps({"web-0": "0", **self.servers}))
        new.rename(place)

    def _report(self, certname: str) -> None:
        self.site.machine.put(f"/srv/{certname}.report", REPORT % certname)
        self.site.sh(
            f"install -d -o puppet -g puppet -m 0750 {REPORTS} {REPORTS}/{certname}; "
            f"install -o puppet -g puppet -m 0640 /srv/{certname}.report {REPORTS}/{certname}/1.yaml; "
            f"rm /srv/{certname}.report"
        )

    def kept_too_long(self, seconds: float) -> list[str]:
        """Return which instances are still there, so long after their server went."""
        late = [name for name, since in self.ended.items() if time.monotonic() - since > seconds]
        return [name for name in late if self._ask(name) is not None]


class Developers(Line):
    """Whoever pushes, and agents that have a catalog compiled."""

    def __init__(self, site: UnitSite) -> None:
        super().__init__(site)
        self.shown: dict[str, str | None] = {}
        """Environment → the first line of its site.pp; None: it is gone."""
        self._git("git init -q; git config user.name a; git config user.email a@b")
        self._git(f"git remote add origin {REPOSITORY}; git fetch -q")
        for branch in ("project/red", "production"):
            self._push(branch, "live at")

    def kinds(self) -> dict[str, Callable[[], None]]:
        """Return name → what does one piece of it."""
        return {
            "push": lambda: self._push("project/red", "live at"),
            "push, forced": self._forced,
            "push, no such branch": lambda: self._refused("HEAD:refs/heads/nonsense", "no rule makes an environment"),
            "push, topic": lambda: self._push("topic/red/work", "live at", again=False),
            "push, bad code": self._bad_code,
            "push, a stranger": self._stranger,
            "push, site": lambda: self._push("production", "live at"),
            "rollback, release": self._rollback,
            "a catalog's questions": self._trusted,
            "push, delete": self._deleted,
        }

    def live(self) -> Iterator[str]:
        """Yield which environment does not show what was pushed."""
        for environment, line in self.shown.items():
            seen = self.site.try_(f"head -n 1 {LIVE}/{environment}/manifests/site.pp").output.strip()
            if (line is None) != ("No such file" in seen) or (line is not None and seen != line):
                yield f"{environment} should show {line!r}, and shows {seen!r}"

    def _git(self, script: str) -> str:
        return self.site.sh(f"cd /srv; mkdir -p busy; cd busy; {script}")

    def _commit(self, branch: str, more: str = "", *, begin: str = "") -> str:
        """Commit a site.pp upon a branch; return its first line."""
        line = f"# {branch} {next(self.numbers)}"
        upon = begin or f"origin/{branch}"
        self._git(
            f"git checkout -q --detach {upon}; mkdir -p manifests; "
            f"printf '%s\\n' {shlex.quote(line + chr(10) + ROLES + more)} >manifests/site.pp; "
            f"git add -A; git commit -qm {shlex.quote(line)}"
        )
        return line

    def _push(self, branch: str, said: str, *, again: bool = True) -> None:
        line = self._commit(branch, begin="" if again else "origin/project/red")
        told = self._git(f"git push origin HEAD:refs/heads/{branch} 2>&1")
        self.shown[_environment(branch)] = line
        self.expect(said in told, f"push to {branch}: {told}")
        self.expect(list(self.live()) == [], f"after the push to {branch}: {list(self.live())}")

    def _forced(self) -> None:
        line = self._commit("project/red", begin="origin/project/red~1")
        self._refused("HEAD:project/red", "non-fast-forward")
        told = self._git("git push --force origin HEAD:project/red 2>&1")
        self.shown["project_red"] = line
        self.expect("can restore it" in told and list(self.live()) == [], f"forced: {told}")

    def _refused(self, what: str, why: str, where: str = "origin") -> None:
        told = self._git(f"git push {where} {what} 2>&1 && echo it was accepted || true")
        self.expect(why in told and "it was accepted" not in told, f"push of {what}: {told}")
        self.expect(list(self.live()) == [], f"after a refused push of {what}: {list(self.live())}")

    def _bad_code(self) -> None:
        self._commit("project/red", "class {")
        self._refused("HEAD:project/red", "Syntax error")

    def _stranger(self) -> None:
        # Everybody here is an operator: who has a wrong password is nobody.
        where = REPOSITORY.replace("secret-of-alice", "wrong")
        self._commit("project/red")
        self._refused("HEAD:project/red", "Authentication failed", where)

    def _deleted(self) -> None:
        self._git("git push -q origin :topic/red/work 2>&1")
        self.shown["project_red__work"] = None
        self.expect(list(self.live()) == [], f"deleted: {list(self.live())}")

    def _rollback(self) -> None:
        """Go back, and free it again."""
        here = self.shown["production"]
        told = self.site.sh("branch-manager rollback production --reason work 2>&1")
        there = self.site.sh(f"head -n 1 {LIVE}/production/manifests/site.pp").strip()
        self.expect(there != here, f"rollback: {told}")
        self.site.sh("branch-manager release production 2>&1")
        self.expect(list(self.live()) == [], f"released: {list(self.live())}")

    def _trusted(self) -> None:
        """What puppetserver asks for each catalog, of the node that is never removed."""
        (first, *_) = self.site.sh("enc-admin node list --named 'node-*' --json | grep -o 'node-[0-9]*'").split()
        for program, what in (("enc-trusted", '"project":"red"'), ("enc", "role::web")):
            said = self.site.sh(f"setpriv --reuid puppet --regid puppet --init-groups {program} {first}.example.org")
            self.expect(what in said, f"{program}: {said}")


def _has(said: str | None, turn: str | None) -> bool:
    """Whether an answer has this variable, or, with None, has none."""
    if said is None:
        return False
    return f'"turn": "{turn}"' in said if turn is not None else '"turn"' not in said


def _environment(branch: str) -> str:
    return branch.replace("project/", "project_").replace("topic/red/", "project_red__")
