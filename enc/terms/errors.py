"""The one root of expected errors, and their exit statuses.

An expected error is something that an operator can put right: it says in one
line what was wrong, where, and what to do. Adapters translate foreign
exceptions into these with ``raise ... from``; the core never catches; the
entry point (entrypoint.py) prints the line. Everything else that escapes is a
bug and is reported as one.

Not here: verdicts. A refused push or a refused certificate is a value.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What every command of the toolkit exits with (docs/commands.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BUG = 3
    FOUND = 4
    """It was done, and what was looked at is not as it should be: `doctor` has a fault, `verify` a difference."""
    INTERRUPTED = 130


def one_line(text: str) -> str:
    """Return `text` with every character escaped that could end or forge a line.

    Control characters, the Unicode line separators and lone surrogates become
    ``\\xNN`` or ``\\uNNNN``; a backslash of the input stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


MOST_SAID = 65_536
"""Characters of one thing that is said or kept; nobody means to write more, and hostile input must have an end."""


def bounded(text: str, most: int = MOST_SAID) -> str:
    """Return `text`, or its first `most` characters and how many more there were."""
    return text if len(text) <= most else f"{text[:most]}… (cut here, {len(text) - most} characters more)"


class ToolkitError(Exception):
    """An expected failure, told in one line.

    `message` says what was wrong and what to do; `where` names the place (a
    file and key, a DN, an address) and is put in front of it.
    """

    exit_status = ExitStatus.FAILED

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where

    def add(self, words: str) -> None:
        """Say more at the end of the message. The error stays what it is, whatever made it."""
        self.message += words
        self.args = (self.message, *self.args[1:])

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.message}" if self.where else self.message)


class ConfigurationError(ToolkitError):
    """The configuration file cannot be used as it stands."""

    exit_status = ExitStatus.USAGE


class UsageError(ToolkitError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_status = ExitStatus.USAGE


class InvalidName(ToolkitError):
    """A certname, project, class or the like that breaks its rule: wrong usage, for it was written so.

    Names that were read from somewhere (LDAP, a ref, a file) are caught where they are read, and are no usage.
    """

    exit_status = ExitStatus.USAGE


class DirectoryUnreachable(ToolkitError):
    """No LDAP server answered in time. Nothing follows about what LDAP holds."""


class DirectoryRefused(ToolkitError):
    """An LDAP server answered, and its answer was no."""


class NotFound(ToolkitError):
    """A reachable source says that the thing does not exist."""


class Conflict(ToolkitError):
    """Somebody else changed the thing in the meantime; nothing was written."""


class NotAllowed(ToolkitError):
    """The person has no role that may do this."""


class ClassificationError(ToolkitError):
    """The records of a node contradict themselves: a loop, a missing parent, a bad value."""
