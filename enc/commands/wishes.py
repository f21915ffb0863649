"""The options of `set`, `unset` and `add`, read into a Wish or a Withdrawal; and handing edits in."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from enc.classify.kind import K, Kind, Option, V
from enc.classify.kinds import DATA, KINDS, PARTS
from enc.commands.call import Call
from enc.edits.wish import Amendment, Wanted, Wish, Withdrawal
from enc.importing import yaml_files
from enc.service.desk import Desk, Receipt, open_desk
from enc.terms.errors import UsageError, one_line
from enc.terms.names import ClassName, PersonName, ProjectName


def _several(parser: argparse.ArgumentParser, *flags: str, dest: str, metavar: str, words: str) -> None:
    words += " (may be repeated)"
    parser.add_argument(*flags, dest=dest, metavar=metavar, help=words, action="append", default=[])


def wish_options(
    parser: argparse.ArgumentParser, *, parent: bool = True, only: tuple[Kind[Any, Any], ...] = KINDS
) -> None:
    """Offer everything that an entry can say; without `parent` an entry that is no node's."""
    for kind, option in _offered(parent=parent):
        if kind not in only:
            continue
        words = option.words if isinstance(option.words, str) else option.words()
        if kind.shape == "single":
            parser.add_argument(f"--{option.name}", dest=_said(kind), metavar=option.metavar, help=words)
        else:
            _several(parser, f"--{option.name}", dest=_said(kind), metavar=option.metavar, words=words)
        if kind is DATA:
            words = "hiera data: all keys of a YAML file"
            _several(parser, "--data-file", dest="data_files", metavar="FILE", words=words)


def withdrawal_options(parser: argparse.ArgumentParser, *, parent: bool = True) -> None:
    """Offer taking away everything that an entry can say."""
    _withdrawals(parser, "--", "", parent)


def amendment_options(parser: argparse.ArgumentParser, *, parent: bool = True) -> None:
    """Offer the same beside `wish_options`: what is to be taken away in the same edit."""
    _withdrawals(parser, "--unset-", "remove in the same edit: ", parent)


def _withdrawals(parser: argparse.ArgumentParser, before: str, also: str, parent: bool) -> None:
    parts: dict[str, list[Option]] = {}
    for kind, option in _offered(parent=parent):
        parts.setdefault(kind.part, []).append(option)
    for part, options in parts.items():
        flags, words, dest = [before + option.name for option in options], also + options[0].unset, _unsaid(part)
        if PARTS[part][0].shape == "single":
            parser.add_argument(*flags, dest=dest, action="store_true", help=words)
        else:
            _several(parser, *flags, dest=dest, metavar=options[0].metavar.partition("=")[0], words=words)


def _said(kind: Kind[Any, Any]) -> str:
    return f"said_{kind.field}"


def _unsaid(part: str) -> str:
    return f"unsaid_{part}"


def _offered(*, parent: bool | None = None) -> Iterator[tuple[Kind[Any, Any], Option]]:
    """Yield what has an option: for nodes (`parent`), for other entries, or at all (None)."""
    for kind in KINDS:
        elsewhere = parent is not None and (kind.projects_only if parent else kind.nodes_only)
        if kind.option is not None and not elsewhere:
            yield kind, kind.option


def wish(arguments: argparse.Namespace) -> Wish:
    """Return what `set` is asked for; raise `UsageError` for what makes no sense."""
    said: dict[str, Any] = {}
    for kind, option in _offered():
        given = getattr(arguments, _said(kind), None)
        found: dict[Any, Any] = {}
        for text in (given,) if isinstance(given, str) else given or ():
            key, value = _asked(kind, f"--{option.name}", text)
            if kind.shape == "pairs" and key in found:
                raise UsageError(f"--{option.name} {one_line(kind.name(key))}: is given twice")
            found[key] = value
        said[kind.field] = found
    data = said[DATA.field]
    for file in getattr(arguments, "data_files", ()):
        for data_key, item in yaml_files.data_of(Path(file)).items():
            if data_key in data:
                raise UsageError(f"--data-file {one_line(data_key)}: is given twice")
            data[data_key] = item
    return Wish.of(said)


def _asked(kind: Kind[K, V], option: str, text: str) -> tuple[K, V]:
    """Return what one option says."""
    try:
        key, value = kind.read(kind.asked(text))
        refusal = kind.refusal(key, value)
    except ValueError as error:
        raise UsageError(f"{option} {_shown(text)}: {error}") from error
    if refusal is not None:
        raise UsageError(f"{option} {_shown(text)}: {refusal}")
    return key, value


def withdrawal(arguments: argparse.Namespace) -> Withdrawal:
    """Return what `unset` is asked for. Names are not checked: what is bad must be removable."""
    found = _withdrawal(arguments)
    if found == Withdrawal():
        raise UsageError("say what to remove, for example --class NAME; see --help")
    return found


def wanted(arguments: argparse.Namespace) -> Wanted:
    """Return what `set` is asked for, with what it is to take away in the same edit."""
    wished, unwanted = wish(arguments), _withdrawal(arguments)
    if wished == Wish() and unwanted == Withdrawal():
        raise UsageError("say what to set, for example --class NAME; see --help")
    return Amendment(wished, unwanted) if unwanted != Withdrawal() else wished


def _withdrawal(arguments: argparse.Namespace) -> Withdrawal:
    given = {kinds[0].field: getattr(arguments, _unsaid(part), False) for part, kinds in PARTS.items()}
    return Withdrawal(**{field: found if isinstance(found, bool) else tuple(found) for field, found in given.items()})


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


_Name = TypeVar("_Name", PersonName, ClassName, ProjectName)


def each(kind: type[_Name], texts: Sequence[str]) -> tuple[_Name, ...]:
    """Return the texts as names; raise `InvalidName` for the first that is none."""
    return tuple(kind(text) for text in texts)


@contextmanager
def desk_of(call: Call) -> Iterator[Desk]:
    """Open the desk for whoever `--as` names; their password comes from the terminal, else one line of stdin."""
    person = getattr(call.arguments, "person", None)
    if person is None:
        with open_desk(call.settings) as desk:
            yield desk
        return
    uid = PersonName(person)
    asked = sys.stdin.isatty()
    password = getpass.getpass(f"Password of {uid}: ") if asked else sys.stdin.readline().rstrip("\n")
    with open_desk(call.settings, uid, password) as desk:
        yield desk


def edit_result(call: Call, receipt: Receipt) -> int:
    """Print what an edit does or did; return the exit status."""
    if receipt.plan.steps or call.json:
        call.show(receipt.document(), receipt.lines(call.bounds))
    for remark in receipt.plan.remarks:
        call.say(remark)
    call.say(receipt.remark())
    return 0
