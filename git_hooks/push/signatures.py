"""The rule of signatures (`pushes.signed`): who signed the new commits of a branch, and may they push there?

git itself verifies (repository/verification.py), with ssh-keygen, against the keys that people
have in LDAP at that moment. So who is removed, or whose key is taken out or has
expired, signs nothing new; what a branch has already is not asked about again.

On a project's branch every new commit must be signed by somebody who may push
to it. On a branch of no project that holds for the commits of the branch
itself (first parents); what a merge brings in may be signed by anybody who may
push anything here: who signed the merge answers for it.

Owns: whose key it is, and the words. Fails closed: without LDAP nothing is accepted here.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from enc.rights.roles import Action, Person, allowed
from enc.terms.environments import Place, Proposal
from enc.terms.errors import DirectoryUnreachable, NotFound
from enc.terms.names import PersonName
from git_hooks.push import policy
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.verification import Verification
from git_hooks.ssh_keys import signed
from git_hooks.ssh_keys.key_lines import KeyLine, PublicKey, Unusable, together
from git_hooks.ssh_keys.known_keys import KnownKeys

if TYPE_CHECKING:
    from enc.settings import Settings

_MOST = 2_000
"""New commits of one push that are verified, at some 10 ms each."""
_HOW = "sign it with your ssh key from LDAP (git config gpg.format ssh; git config user.signingKey FILE.pub; {})"
_COMMIT = _HOW.format("git commit --amend -S, or git rebase --exec 'git commit --amend --no-edit -S' BASE")
_TAG = _HOW.format("git tag -s")


class _Signer(NamedTuple):
    """Whose key it is that signed something."""

    person: Person | None = None
    trouble: str = ""
    """Why the key counts for nobody; empty: it does not."""


class Signatures:
    """Looks at the signatures of one push, of all its branches together."""

    def __init__(self, objects: Incoming, settings: Settings, made: Collection[ObjectId] = ()) -> None:
        """Ask nobody yet; `made`: commits that need no signature."""
        self._made = made
        self._objects = objects
        self._settings = settings
        self._git = Verification(objects.path, objects.environ)
        self._left = _MOST

    def of_commits(self, new: ObjectId, known: Sequence[ObjectId], place: Place | Proposal) -> Iterator[str]:
        """Yield what is wrong with the signatures of commits that `new` has and none of `known`."""
        commits = self._git.new_commits(new, known, self._left)
        self._left = max(0, self._left - len(commits))
        if not self._left:
            yield f"brings more than {_MOST} commits, whose signatures are not all verified at once; push it in parts"
            return
        own = _first_parents(new, dict(commits))
        commits = [one for one in commits if one[0] not in self._made]
        keys: dict[ObjectId, PublicKey] = {}
        faults: dict[ObjectId, str] = {}
        for commit, _ in commits:
            signature = signed.of_commit(self._objects.raw(commit)[1])
            key = signed.key_of(signature) if signature is not None else None
            if signature is None:
                faults[commit] = f"is not signed, and on this branch every new commit must be; {_COMMIT}"
            elif key is None:
                faults[commit] = f"is signed, but not with an ssh key; {_COMMIT}"
            else:
                keys[commit] = key
        signers = self._signers(set(keys.values()))
        valid = self._git.signers(list(keys), _lines(signers)) if keys else {}
        for commit, _ in commits:
            fault = faults.get(commit) or self._fault(
                signers[keys[commit]], keys[commit], valid.get(commit), place, is_own=commit in own
            )
            if fault:
                yield f"commit {commit.abbreviated} {fault}"

    def of_tag(self, tag: ObjectId, ref: str) -> Iterator[str]:
        """Yield what is wrong with the signature of the tag object `tag`, which is to be called `ref`."""
        kind, content = self._objects.raw(tag)
        if kind != "tag":
            yield f"is not an annotated tag, and only such can be signed; {_TAG}"
            return
        signature = signed.of_tag(content)
        key = signed.key_of(signature) if signature is not None else None
        if key is None:
            yield f"is not signed with an ssh key, and here every tag must be; {_TAG}"
            return
        name = signed.tag_name(content)
        if f"{policy.TAGS}{name}" != ref:
            yield f"was signed as {name!r}, and cannot get another name"
            return
        signers = self._signers({key})
        who = signers[key]
        if who.person is None:
            yield f"is signed with {who.trouble}"
        elif not self._git.tag_is_valid(tag, _lines(signers)):
            yield f"has a signature by {who.person.name}'s key that is not valid for it; {_TAG}"
        elif not (may := allowed(who.person, Action.TAG_PUSH, None)).allowed:
            yield f"is signed by {who.person.name}, but {may.reason}"

    def _fault(
        self, who: _Signer, key: PublicKey, valid: str | None, place: Place | Proposal, *, is_own: bool
    ) -> str:
        """Return what is wrong with one signature; empty if nothing is."""
        if who.person is None:
            return f"is signed with {who.trouble}"
        if valid != who.person.name:
            return (
                f"has a signature by {who.person.name}'s key that is not valid for it (changed after it was signed, "
                f"or not signed by git); {_COMMIT}"
            )
        if place.project is None and not is_own:
            return policy.nothing(who.person)
        action = Action.SITE_BRANCH_PUSH if place.project is None else Action.BRANCH_PUSH
        may = allowed(who.person, action, place.project, place.branch)
        if may.allowed:
            return ""
        merge = "; merge it with a commit of your own (git merge --no-ff -S)" if place.project is None else ""
        return f"is signed by {who.person.name}, but {may.reason}{merge}"

    def _signers(self, keys: set[PublicKey]) -> dict[PublicKey, _Signer]:
        """Return whose each key is, as LDAP says now; raise `DirectoryUnreachable` or `DirectoryRefused`."""
        try:
            return self._asked(keys)
        except DirectoryUnreachable as error:
            words = "cannot find out whose keys signed this, because LDAP cannot be reached"
            raise DirectoryUnreachable(f"{words}: {error}") from error

    def _asked(self, keys: set[PublicKey]) -> dict[PublicKey, _Signer]:
        from enc.service import people
        from git_hooks.ssh_keys import holders

        found: dict[PublicKey, _Signer] = {}
        if not keys:
            return found
        known, now = KnownKeys(self._settings), time.time()
        with holders.source_of(self._settings) as source:
            entries = holders.Holders(source, self._settings).of(sorted(keys))
            owners = holders.owners(entries)
            groups = people.groups_in(source, self._settings)
            persons: dict[PersonName, Person] = {}
            for key in keys:
                name, trouble = _owner(key, owners.get(key, {}), known, now)
                if name is None or trouble:
                    found[key] = _Signer(None, trouble)
                    continue
                if name not in persons:
                    try:
                        entry = people.entry_of(name, source, self._settings)
                    except NotFound:
                        found[key] = _Signer(None, f"a key of {name}, who is not in LDAP")
                        continue
                    persons[name] = people.with_roles(name, entry, groups, self._settings)
                found[key] = _Signer(persons[name])
        return found


def _owner(
    key: PublicKey, people: Mapping[PersonName, list[KeyLine]], known: KnownKeys, now: float
) -> tuple[PersonName | None, str]:
    """Return whose key it is, and why it does not count (empty: it does)."""
    names = sorted(name for name, lines in people.items() if not all(line.comment for line in lines))
    if not names:
        return None, f"an ssh key that nobody has in LDAP ({_brief(key)})"
    name = names[0] if len(names) == 1 else known.first(key, names)
    if name is None:
        return None, f"an ssh key that is in the entries of {', '.join(names)}, so it cannot be told whose it is"
    limits, trouble = together(people[name])
    try:
        ended = limits.ended(now)
    except Unusable as error:
        trouble = trouble or str(error)
    else:
        if ended:
            trouble = trouble or f"its expiry-time, {ended}, has passed"
        elif limits.verify:
            trouble = trouble or "it is limited by verify-required, which a signature does not show"
    return name, f"an ssh key of {name} that does not count: {trouble}" if trouble else ""


def _lines(signers: Mapping[PublicKey, _Signer]) -> list[str]:
    """Return the allowed signers (ssh-keygen(1)), each with a key and for git only."""
    return [f'{who.person.name} namespaces="git" {key}' for key, who in signers.items() if who.person is not None]


def _first_parents(tip: ObjectId, commits: Mapping[ObjectId, tuple[ObjectId, ...]]) -> frozenset[ObjectId]:
    found = set()
    one: ObjectId | None = tip
    while one is not None and one in commits:
        found.add(one)
        one = next(iter(commits[one]), None)
    return frozenset(found)


def _brief(key: PublicKey) -> str:
    kind, _, blob = key.partition(" ")
    return f"{kind} …{blob[-20:]}"
