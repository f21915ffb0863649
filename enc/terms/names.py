"""The names that come from outside, each parsed once at the door.

Every name is a subclass of `str` whose constructor enforces the rule, so a
value of the type is proof that the rule holds: it may go into a path, a YAML
key or a log line as it is. (A DN or an LDAP filter is still built by the
builders of `enc.directory`.) Nothing here knows where a name is used.

A refusal is `InvalidName` with the rule in the message.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar, Self

from enc.terms.errors import InvalidName, one_line
from enc.terms.puppet_names import RESERVED_CLASSES, RESERVED_PARAMETERS

HEADS = "refs/heads/"
"""Where git keeps branches."""

_SHOWN = 60
"""So many characters of a refused name are shown; hostile input can be long."""


class Name(str):
    """A string that satisfies its class's rule; subclassed for each kind of name."""

    __slots__ = ()
    kind: ClassVar[str]
    rule: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]
    longest: ClassVar[int]
    reserved: ClassVar[frozenset[str]] = frozenset()
    """What keeps the rule and is still none, because Puppet means something else by it."""

    def __new__(cls, text: str) -> Self:
        """Return `text` as a name; raise `InvalidName` with the rule if it is none."""
        if not cls.accepts(text):
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
            raise InvalidName(f"{one_line(repr(shown))} is not {cls.kind}: {cls.broken(text)}")
        return super().__new__(cls, text)

    @classmethod
    def broken(cls, text: str) -> str:
        """Return the rule that `text`, which is no such name, breaks."""
        return "Puppet reserves this word" if text in cls.reserved else cls.rule

    @classmethod
    def accepts(cls, text: str) -> bool:
        """Tell whether `text` keeps the rule."""
        return len(text) <= cls.longest and text not in cls.reserved and cls.pattern.fullmatch(text) is not None


class Certname(Name):
    """The untrusted string that Puppet passes for a node.

    Puppet lower-cases certnames; 250 is what a file name of 255 bytes leaves
    beside ".yaml". No two dots in a row, so no name is a path step.
    """

    __slots__ = ()
    kind = "a certname"
    rule = "a-z, 0-9, '.', '_' and '-' only, starting with a letter or digit, no '..', at most 250 characters"
    pattern = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.))*", re.ASCII)
    longest = 250

    @property
    def short(self) -> str:
        """The part before the first dot, which the LDAP node terminus tries second; a dot at the end stays."""
        return re.sub(r"\..+", "", self)


class ProjectName(Name):
    """The authorisation boundary; also a part of branch and environment names."""

    __slots__ = ()
    kind = "a project name"
    rule = "a-z, 0-9, '_' and '-' only, starting with a letter, at most 63 characters"
    pattern = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
    longest = 63

    @property
    def is_plain(self) -> bool:
        """Tell whether separators stand singly and not at its end; new projects are named so (docs/branches.md)."""
        return re.search(r"[-_](?:[-_]|\Z)", self) is None


class PrefixName(Name):
    """A beginning that several certnames of a project share, such as `web-`."""

    __slots__ = ()
    kind = "a prefix"
    rule = Certname.rule
    pattern = Certname.pattern
    longest = 250


class EnvironmentName(Name):
    """A Puppet environment. Puppet itself checks only the last path part."""

    __slots__ = ()
    kind = "an environment"
    rule = "A-Z, a-z, 0-9 and '_' only, at most 200 characters"
    pattern = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
    longest = 200


class ClassName(Name):
    """A Puppet class. With capitals or a leading '::' it would silently lose its parameters."""

    __slots__ = ()
    kind = "a class name"
    rule = "lower-case words such as 'apache' or 'role::web', no leading '::', at most 200 characters"
    pattern = re.compile(r"[a-z][a-z0-9_]*(?:::[a-z][a-z0-9_]*)*", re.ASCII)
    longest = 200
    reserved = RESERVED_CLASSES

    @classmethod
    @lru_cache(maxsize=20_000)
    def from_directory(cls, text: str) -> Self:
        """Read a class name as people's directories hold it.

        Puppet finds `Apache` and `::apache` too, but drops their parameters;
        the normal form means the same class and keeps them.
        """
        return cls(text.strip().removeprefix("::").lower())


class VariableName(Name):
    """A top-scope variable. Attribute names of LDAP, which become variables, keep their '-' and ';'."""

    __slots__ = ()
    kind = "a variable name"
    rule = "letters, digits and '_' (parts joined by '::'), no digit first, at most 200 characters"
    pattern = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
    longest = 200


class Label(Name):
    """A node's role or region, which sites put into the paths of hiera's files, and certificates hold.

    So it is no path step: no '/', no '..', no dot at an end.
    """

    __slots__ = ()
    kind = "a role or region"
    rule = (
        "letters, digits, '_', ':', '-' and single dots between them, starting with a letter or digit, "
        "at most 100 characters"
    )
    pattern = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_:-]|\.(?=[A-Za-z0-9_:-]))*", re.ASCII)
    longest = 100


class ParameterName(Name):
    """A parameter of a class."""

    __slots__ = ()
    kind = "a class parameter"
    rule = "a-z first, then a-z, 0-9 and '_', at most 200 characters"
    pattern = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
    longest = 200
    reserved = RESERVED_PARAMETERS


class DataKey(Name):
    """A key of hiera data: any text, since Puppet looks up any (`role::x:mode`, `'a.b'`, the empty one).

    So, unlike other names, it goes into YAML, LDAP or a log only by the builders that escape it.
    """

    __slots__ = ()
    kind = "a hiera key"
    rule = "a text of at most 10,000 characters, no half of a surrogate pair"
    pattern = re.compile(r"[^\ud800-\udfff]*")
    longest = 10_000


class BranchName(Name):
    """A branch, without refs/heads/.

    Narrower than git (git-check-ref-format), so that a name goes into a path,
    a shell's command line and a log as it is: no leading '-', no '..', no part
    that starts or ends with a dot or ends in .lock.
    """

    __slots__ = ()
    kind = "a branch name"
    rule = (
        "parts of A-Z, a-z, 0-9, '.', '_' and '-', joined by '/'; no part starts with '.' or '-', "
        "ends with '.' or '.lock', or holds '..'; at most 150 characters"
    )
    _part = r"(?!\.|-)(?:[A-Za-z0-9_-]|\.(?!\.|/|\Z|lock(?:/|\Z)))+"
    pattern = re.compile(rf"{_part}(?:/{_part})*", re.ASCII)
    longest = 150

    @classmethod
    def of_ref(cls, ref: str) -> BranchName | None:
        """Return the branch of `ref`, or None if it is no branch; raise `InvalidName` for a bad one."""
        return cls(ref[len(HEADS) :]) if ref.startswith(HEADS) else None

    @property
    def ref(self) -> str:
        """The whole name, refs/heads/ included."""
        return HEADS + self


class PersonName(Name):
    """The uid of a person."""

    __slots__ = ()
    kind = "a person's uid"
    rule = "letters, digits, '.', '_' and '-', starting with a letter or digit, at most 64 characters"
    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
    longest = 64
