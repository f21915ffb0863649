"""The options of `set`, `unset` and `add`, read into a Wish or a Withdrawal; and handing edits in."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from enc.classify import values
from enc.classify.model import Value
from enc.commands.call import Call
from enc.edits.changes import Amendment, Wanted, Wish, Withdrawal
from enc.importing import yaml_files
from enc.service.desk import Desk, Receipt, open_desk
from enc.terms.errors import UsageError, one_line
from enc.terms.names import (
    Certname,
    ClassName,
    DataKey,
    EnvironmentName,
    ParameterName,
    PersonName,
    ProjectName,
    VariableName,
)
from enc.terms.puppet_names import variable_fault

_LONGEST_WORD = 200


def _several(parser: argparse.ArgumentParser, *flags: str, dest: str, metavar: str, words: str) -> None:
    words += " (may be repeated)"
    parser.add_argument(*flags, dest=dest, metavar=metavar, help=words, action="append", default=[])


def wish_options(parser: argparse.ArgumentParser, *, parent: bool = True) -> None:
    """Offer everything that an entry can say."""
    _several(parser, "--class", dest="classes", metavar="CLASS", words="a class to assign")
    words = "a plain variable; true and false are booleans"
    _several(parser, "--variable", dest="variables", metavar="NAME=TEXT", words=words)
    words = "a variable with a type or a structure"
    _several(parser, "--json-variable", dest="typed", metavar="NAME=JSON", words=words)
    _several(parser, "--parameter", dest="parameters", metavar="CLASS::NAME=JSON", words="a parameter of a class")
    words = "hiera data; a key of a mapping may also be a number; a KEY with a '=' stands in double quotes"
    _several(parser, "--data", dest="data", metavar="KEY=JSON", words=words)
    words = "hiera data: all keys of a YAML file"
    _several(parser, "--data-file", dest="data_files", metavar="FILE", words=words)
    words = "do not inherit it: 'class NAME', 'variable NAME' or 'parameter CLASS::NAME'"
    _several(parser, "--remove", dest="without", metavar="WHAT", words=words)
    parser.add_argument("--environment", metavar="NAME", help="Puppet environment")
    if parent:
        parser.add_argument("--parent", metavar="CERTNAME", help="node to inherit from")
    parser.add_argument("--region", metavar="TEXT", help="trusted external data: region")
    parser.add_argument("--role", metavar="TEXT", help="trusted external data: role")
    parser.add_argument("--description", metavar="TEXT", help="words for people")


def withdrawal_options(parser: argparse.ArgumentParser, *, parent: bool = True) -> None:
    """Offer taking away everything that an entry can say."""
    _withdrawals(parser, "", parent)


def amendment_options(parser: argparse.ArgumentParser, *, parent: bool = True) -> None:
    """Offer the same beside `wish_options`: what is to be taken away in the same edit."""
    _withdrawals(parser, "unset-", parent)


def _withdrawals(parser: argparse.ArgumentParser, before: str, parent: bool) -> None:
    also = "in the same edit, take away: " if before else ""

    def several(*names: str, dest: str, metavar: str, words: str) -> None:
        flags = (f"--{before}{name}" for name in names)
        _several(parser, *flags, dest=before.replace("-", "_") + dest, metavar=metavar, words=also + words)

    several("class", dest="classes", metavar="CLASS", words="a class")
    several("variable", "json-variable", dest="variables", metavar="NAME", words="a variable, plain or typed")
    several("parameter", dest="parameters", metavar="CLASS::NAME", words="a class parameter")
    several("data", dest="data", metavar="KEY", words="a key of hiera data")
    several("remove", dest="without", metavar="WHAT", words="a removal, as it was given to `set --remove`")
    for name in ("environment", *(("parent",) if parent else ()), "region", "role", "description"):
        dest, words = f"{before.replace('-', '_')}{name}", f"{also}the entry's own {name}"
        parser.add_argument(f"--{before}{name}", dest=dest, action="store_true", help=words)


def wish(arguments: argparse.Namespace) -> Wish:
    """Return what `set` is asked for; raise `InvalidName` or `UsageError` for what makes no sense."""
    variables: dict[VariableName, str] = {}
    for text in arguments.variables:
        name, value = _pair("--variable", text, "NAME=TEXT")
        _once("--variable", name, variables)
        variables[_variable(name)] = value
    typed: dict[VariableName, Value] = {}
    for text in arguments.typed:
        name, value = _pair("--json-variable", text, "NAME=JSON")
        _once("--json-variable", name, typed)
        typed[_variable(name)] = _json("--json-variable", name, value)
    parameters: dict[tuple[ClassName, ParameterName], Value] = {}
    for text in arguments.parameters:
        path, value = _pair("--parameter", text, "CLASS::NAME=JSON")
        key = _parameter(path)
        _once("--parameter", key, parameters)
        parameters[key] = _json("--parameter", path, value)
    data: dict[DataKey, Value] = {}
    for text in arguments.data:
        name, value = _data(text)
        _once("--data", name, data)
        data[DataKey(name)] = _json("--data", name, value)
    for file in getattr(arguments, "data_files", ()):
        for data_key, item in yaml_files.data_of(Path(file)).items():
            _once("--data-file", data_key, data)
            data[data_key] = item
    parent = getattr(arguments, "parent", None)
    return Wish(
        classes=tuple(ClassName.from_directory(name) for name in arguments.classes),
        variables=variables,
        typed_variables=typed,
        parameters=parameters,
        data=data,
        without=tuple(removal(text) for text in getattr(arguments, "without", ())),
        environment=None if arguments.environment is None else EnvironmentName(arguments.environment),
        parent=None if parent is None else Certname(parent),
        region=_word("--region", arguments.region),
        role=_word("--role", arguments.role),
        description=_word("--description", arguments.description),
    )


def withdrawal(arguments: argparse.Namespace) -> Withdrawal:
    """Return what `unset` is asked for. Names are not checked: what is bad must be removable."""
    found = _withdrawal(arguments, "")
    if found == Withdrawal():
        raise UsageError("say what is to be taken away, for example --class NAME; see --help")
    return found


def wanted(arguments: argparse.Namespace) -> Wanted:
    """Return what `set` is asked for, with what it is to take away in the same edit."""
    wished, unwanted = wish(arguments), _withdrawal(arguments, "unset_")
    if wished == Wish() and unwanted == Withdrawal():
        raise UsageError("say what is to be set, for example --class NAME; see --help")
    return Amendment(wished, unwanted) if unwanted != Withdrawal() else wished


def _withdrawal(arguments: argparse.Namespace, before: str) -> Withdrawal:
    def given(name: str) -> Any:
        return getattr(arguments, before + name, False)

    return Withdrawal(
        classes=tuple(given("classes")),
        variables=tuple(given("variables")),
        parameters=tuple(given("parameters")),
        data=tuple(given("data")),
        without=tuple(given("without")),
        environment=given("environment"),
        parent=given("parent"),
        region=given("region"),
        role=given("role"),
        description=given("description"),
    )


def removal(text: str) -> str:
    """Return `class X`, `variable X` or `parameter X::Y` in the one form in which it is stored."""
    kind, _, name = text.strip().partition(" ")
    name = name.strip()
    if kind == "class":
        return f"class {ClassName.from_directory(name)}"
    if kind == "variable":
        return f"variable {_variable(name)}"
    if kind == "parameter":
        return f"parameter {'::'.join(_parameter(name))}"
    raise UsageError(f"--remove {text!r}: write 'class NAME', 'variable NAME' or 'parameter CLASS::NAME'")


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise UsageError(f"{option} {_shown(text)}: has no '='; write {form}")
    return name.strip(), value


def _data(text: str) -> tuple[str, str]:
    try:
        return values.split(text)
    except ValueError as error:
        raise UsageError(f"--data {_shown(text)}: {error}") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _once(option: str, name: object, found: object) -> None:
    if name in found:  # type: ignore[operator]
        raise UsageError(f"{option} {one_line(str(name))}: is given twice")


def _variable(name: str) -> VariableName:
    fault = variable_fault(name)
    if fault is not None:
        hint = "use --environment" if name == "environment" else "choose another name"
        raise UsageError(f"variable {_shown(name)}: {fault}; {hint}")
    return VariableName(name)


def _parameter(path: str) -> tuple[ClassName, ParameterName]:
    class_name, found, parameter = path.rpartition("::")
    if not found:
        raise UsageError(f"{_shown(path)} is not a class parameter; write CLASS::NAME")
    return ClassName.from_directory(class_name), ParameterName(parameter)


def _json(option: str, name: str, text: str) -> Value:
    try:
        return values.read(text)
    except ValueError as error:
        raise UsageError(f"{option} {one_line(name)}: {_shown(text)}: {error}") from error


def _word(option: str, text: str | None) -> str | None:
    if text is not None and not (text.strip() == text and text.isprintable() and 0 < len(text) <= _LONGEST_WORD):
        raise UsageError(
            f"{option} {_shown(text)}: printable text of 1 to {_LONGEST_WORD} characters, no spaces around it"
        )
    return text


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
