"""The pieces that rows of the table of kinds are made of: how texts are taken apart, read, compared and written. Pure.

A piece whose name says no kind serves any row. What cannot be read or written raises ValueError with the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from enc.classify import values
from enc.classify.kind import LeftOut
from enc.classify.model import Value
from enc.settings import NodeSettings
from enc.terms.errors import InvalidName, one_line
from enc.terms.names import ClassName, EnvironmentName, Name, ParameterName
from enc.terms.puppet_names import environment_fault, variable_fault

_LONGEST_WORD = 200
_N = TypeVar("_N", bound=Name)


def scalar(text: str) -> Value:
    """Return the value as the LDAP node terminus reads it: only the exact words true and false are converted."""
    return True if text == "true" else False if text == "false" else text


# Reading.


def bare(text: str) -> tuple[str, str | None]:
    """Split a bare name: nothing stands behind it."""
    return text, None


def alone(text: str) -> tuple[str, str | None]:
    """Split the value of something that an entry says once: it has no name."""
    return "", text


def pair(text: str) -> tuple[str, str | None]:
    """Split NAME=JSON."""
    name, found, rest = text.partition("=")
    if not found:
        raise ValueError("has no '='; write NAME=JSON")
    return name.strip(), rest


def named(kind: type[_N]) -> Callable[[str], _N]:
    """Return what makes a name of the type `kind`."""

    def key(text: str) -> _N:
        try:
            return kind(text)
        except InvalidName as error:
            raise ValueError(f"{one_line(repr(text))} is not {kind.kind}: {kind.broken(text)}") from error

    return key


def json_value(text: str | None) -> Value:
    """Return the value that JSON stands for."""
    return values.read(text or "")


def nothing(_text: str | None) -> None:
    """Say that a bare name has no value."""


def no_key(_text: str) -> str:
    """Return the key of what an entry says once."""
    return ""


def word(text: str | None) -> str:
    """Return a text as it is."""
    return text or ""


def word_refusal(_key: str, text: str) -> str | None:
    """Return why `text` is not stored as a word."""
    if text.strip() == text and text.isprintable() and 0 < len(text) <= _LONGEST_WORD:
        return None
    return f"printable text of 1 to {_LONGEST_WORD} characters, no spaces around it"


def class_name(text: str) -> ClassName:
    """Make a class name, in the normal form."""
    try:
        return ClassName.from_directory(text)
    except InvalidName as error:
        raise ValueError(f"not a class name: {ClassName.broken(class_label(text))}") from error


def plain(text: str) -> tuple[str, str | None]:
    """Split NAME=TEXT, or a NAME alone."""
    name, found, rest = text.partition("=")
    return name, rest if found else None


def class_parameter(path: str) -> tuple[ClassName, ParameterName]:
    """Make class and parameter of CLASS::NAME."""
    class_name, found, parameter = path.strip().rpartition("::")
    if not found:
        raise ValueError("write CLASS::PARAMETER")
    return named(ClassName)(class_name), named(ParameterName)(parameter)


def environment(text: str | None) -> EnvironmentName:
    """Make an environment's name."""
    try:
        return EnvironmentName(text or "")
    except InvalidName as error:
        raise ValueError(f"not an environment: {EnvironmentName.rule}") from error


# Which texts are about the same.


def before_equals(text: str) -> str:
    """Return the name in NAME=JSON, or all of a text without a '='."""
    return text.partition("=")[0].strip()


def no_label(_text: str) -> str:
    """Return the same for every text: an entry says it once."""
    return ""


def class_label(text: str) -> str:
    """Return the normal form of a class name, also of a bad one."""
    return text.strip().removeprefix("::").lower()


def data_label(text: str) -> str:
    """Return the key in KEY=JSON, or that of a key alone."""
    try:
        return values.split(text)[0]
    except ValueError:  # a value that somebody else wrote, or only a key
        with suppress(ValueError):
            return values.key_of(text)
        return before_equals(text)


def is_data_key(text: str) -> bool:
    """Tell whether `text` can be nothing but a key of hiera data: without a '=', or all of it in double quotes."""
    try:
        return "=" not in text or values.split(f"{text}=0")[1] == "0"
    except ValueError:
        return False


# Writing.


def pair_text(key: str, value: Value) -> str:
    """Return NAME=JSON."""
    return f"{key}={values.write(value)}"


def bare_text(key: str, _value: object) -> str:
    """Return a bare name."""
    return key


def word_text(_key: str, value: object) -> str:
    """Return the one value."""
    return str(value)


def plain_text(name: str, value: Value) -> str:
    """Return NAME=TEXT as the LDAP node terminus reads it."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    if text is None:
        return name
    if not (isinstance(text, str) and text.isascii() and (text.isprintable() or not text)):
        raise ValueError(f"a plain variable holds printable ASCII only; write --json-variable {name}=JSON")
    return f"{name}={text}"


def parameter_name(key: tuple[ClassName, ParameterName]) -> str:
    """Return CLASS::NAME."""
    return "::".join(key)


# What people write.


def asked_variable(form: str) -> Callable[[str], str]:
    """Return what brings a variable into the form `form`; one that Puppet keeps to itself is refused."""

    def asked(text: str) -> str:
        name, found, rest = text.partition("=")
        if not found:
            raise ValueError(f"has no '='; write {form}")
        if fault := reserved_variable(name.strip(), None):
            raise ValueError(fault)
        return f"{name.strip()}={rest}"

    return asked


def asked_parameter(text: str) -> str:
    """Bring CLASS::NAME=JSON into the form in which it is stored, the class in lower case."""
    path, found, rest = text.partition("=")
    class_name, colons, parameter = path.strip().rpartition("::")
    if not (found and colons):
        raise ValueError("write CLASS::NAME=JSON")
    return f"{class_label(class_name)}::{parameter}={rest}"


# What Puppet keeps to itself.


def reserved_variable(name: str, _value: object) -> str | None:
    """Return why no edit writes a variable of that name."""
    fault = variable_fault(name)
    if fault is None:
        return None
    return f"{fault}; {'use --environment' if name == 'environment' else 'choose another name'}"


def variable_passed_over(name: str, _settings: NodeSettings) -> str | None:
    """Return what is said of a variable that is left out."""
    fault = variable_fault(name)
    return None if fault is None else LeftOut.because(fault)


def plain_passed_over(name: str, settings: NodeSettings) -> str | None:
    """Return what is said of a plain variable that is left out, or that the environment's attribute says."""
    if name == settings.environment_attribute.lower():
        return "is ignored here; use the attribute of that name"
    return variable_passed_over(name, settings)


def reserved_environment(_key: str, name: str) -> str | None:
    """Return why no edit gives a node this environment."""
    fault = environment_fault(name)
    return f"{fault}; choose another" if fault else None
