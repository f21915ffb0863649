"""What git makes of a file in a checkout because of .gitattributes: line ends, encoding, `$Id$`, a filter.

An environment has the bytes that are in the commit. A checkout has others
where an attribute says so (gitattributes(5)); which attributes a path has is
asked of git itself, with the .gitattributes files alone in a directory of
their own. What they do to a file is a function of its bytes (`change`).

`text`, `eol=lf` and `crlf` change nothing in a checkout on a system whose
lines end as Puppet's do, `export-subst` and `export-ignore` are about archives
only. What a person's own git adds (`core.autocrlf`, $GIT_DIR/info/attributes)
is not in the commit, and not looked at.

Failure modes: none that stop a deploy: what git cannot tell in time is said
not to have been looked at.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from git_hooks.repository.bounds import MEMORY, Bounds

NAME = ".gitattributes"

_ASKED = ("text", "crlf", "eol", "working-tree-encoding", "ident", "filter")
_MATTERS = re.compile(rb"eol\s*=\s*crlf|working-tree-encoding|ident|filter")
_BOUNDS = Bounds(MEMORY, 3, 1 << 20)
"""Of git: a pattern can be made to be slow, and a push waits for it."""
_LONGEST = 60.0
"""Seconds, however busy the machine is."""
_MOST = 10_000
"""So many files are looked at in one deploy."""
LONGEST_POINTER = 1024
"""Bytes of a pointer of Git LFS."""
_ID = re.compile(rb"\$Id(?::[^$\n]*)?\$")


class Contents(Protocol):
    """What is read from git (repository.Repository)."""

    @property
    def path(self) -> str:
        """The repository."""
        ...

    def blob(self, blob: str) -> bytes:
        """Return the content of a file."""
        ...

    def blobs(self, blobs: Iterable[str]) -> Iterable[bytes]:
        """Return the contents of files, in order."""
        ...


def may_change(content: bytes) -> bool:
    """Tell whether a .gitattributes file has something in it that can make a checkout differ. Pure."""
    return _MATTERS.search(content) is not None


def change(content: bytes, attributes: Mapping[str, str]) -> str:
    """Return the attributes for which a checkout has other bytes than `content`; empty if it has the same. Pure.

    `attributes` are as `git check-attr` tells them: `set`, `unset`, `unspecified` or a value.
    """
    filtered = attributes.get("filter", "unspecified")
    if filtered not in ("set", "unset", "unspecified"):
        what = "a pointer to it is in the commit" if is_pointer(content) else "its result is unknown"
        return f"filter={filtered}: {what}"
    found = []
    encoding = attributes.get("working-tree-encoding", "unspecified")
    if encoding not in ("set", "unset", "unspecified") and not _same(content, encoding):
        found.append(f"working-tree-encoding={encoding}")
    if _ends_in_crlf(content, attributes):
        found.append("eol=crlf")
    if attributes.get("ident") == "set" and _ID.search(content):
        found.append("ident")
    return ", ".join(found)


def is_pointer(content: bytes) -> bool:
    """Tell whether a file is a pointer of Git LFS (git-lfs: docs/spec.md). Pure."""
    return len(content) <= LONGEST_POINTER and content.startswith(b"version https://git-lfs.github.com/spec/")


def _same(content: bytes, encoding: str) -> bool:
    if re.fullmatch(r"utf-?8", encoding, re.IGNORECASE):
        return True
    if encoding.upper().endswith("-BOM"):  # git's own name for an encoding with a mark at the beginning
        return False
    try:
        return content.decode("utf-8").encode(encoding) == content
    except UnicodeDecodeError:
        return True  # git cannot convert it either, and leaves it
    except (UnicodeEncodeError, LookupError):
        return False


def _ends_in_crlf(content: bytes, attributes: Mapping[str, str]) -> bool:
    """See git's convert.c: git_path_check_crlf, will_convert_lf_to_crlf."""
    text = attributes.get("text", "unspecified")
    if text == "unspecified":
        text = attributes.get("crlf", "unspecified")
    if attributes.get("eol") != "crlf" or text in ("unset", "input"):
        return False
    lone = content.count(b"\n") - content.count(b"\r\n")
    if text == "auto" and (b"\r" in content or _binary(content)):
        return False
    return lone > 0


def _binary(content: bytes) -> bool:
    """Tell whether git takes it for no text: a NUL, or more than one odd byte in 128 (convert.c, gather_stats)."""
    if b"\0" in content:
        return True
    body = content[:-1] if content.endswith(b"\x1a") else content
    odd = sum(body.count(bytes([byte])) for byte in (*range(1, 8), 11, *range(14, 27), *range(28, 32), 127))
    return len(body) - odd < 128 * odd


class CheckoutOf:
    """Asks git about the files of one repository."""

    def __init__(self, objects: Contents, work: str) -> None:
        """`work` is made, and gone again after each question."""
        self._objects = objects
        self._work = work

    def __call__(self, attributes: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
        """Return path → what a checkout does otherwise, for those `files` (path → blob) of which it is so.

        `attributes` are the .gitattributes files that may matter, path → blob.
        """
        asked = dict(list(files.items())[:_MOST])
        told = self._attributes(attributes, list(asked))
        if told is None:
            return dict.fromkeys(asked, f"{NAME}: its effect could not be determined")
        concerned = {path: said for path, said in told.items() if path in asked and _concerns(said)}
        contents = self._objects.blobs(asked[path] for path in concerned)
        found = {path: change(content, concerned[path]) for path, content in zip(concerned, contents, strict=True)}
        found |= dict.fromkeys(list(files)[_MOST:], f"{NAME}: more than {_MOST} files to check")
        return {path: what for path, what in found.items() if what}

    def _attributes(self, attributes: Mapping[str, str], files: list[str]) -> dict[str, dict[str, str]] | None:
        import subprocess  # few trees have attributes that matter

        from git_hooks.repository.git_program import command, sealed

        shutil.rmtree(self._work, ignore_errors=True)
        try:
            for path, blob in attributes.items():
                place = Path(self._work, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(self._objects.blob(blob))
            words = (f"--work-tree={self._work}", "check-attr", "--stdin", "-z", *_ASKED)
            done = subprocess.run(
                _BOUNDS.command(command(self._objects.path, *words)),
                env=sealed(os.environ),  # only what the commit says: no person's own settings
                input=b"".join(os.fsencode(path) + b"\0" for path in files),
                capture_output=True,
                timeout=_LONGEST,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        if done.returncode:
            return None
        told = [os.fsdecode(word) for word in done.stdout.split(b"\0")]
        found: dict[str, dict[str, str]] = {}
        for path, name, value in zip(told[0:-1:3], told[1::3], told[2::3], strict=False):
            found.setdefault(path, {})[name] = value
        return found


def _concerns(said: Mapping[str, str]) -> bool:
    none = ("unset", "unspecified")
    return (
        said.get("eol") == "crlf"
        or said.get("ident") == "set"
        or any(said.get(name, none[0]) not in (*none, "set") for name in ("filter", "working-tree-encoding"))
    )
