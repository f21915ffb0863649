"""Look an answer up on disk: the rules of the shell program `enc`, for Python.

The two must agree; a test runs both over the same directories. The order:

1. No `contact`, or one that is not whole: nobody follows here, LDAP is asked.
2. `contact` more than a minute in the future: the clock was set back, nothing
   can be said about age, LDAP is asked.
3. Older than the limit that the follower wrote beside it: a refusal.
4. The node's own answer, then its own refusal.
   Where the answer says that it is one of a trial (enc/classify/trial.py) whose
   time is up, the environment that comes then is put in.
5. Only in terminus semantics, and only while a follower lives that is up to
   date, or that cannot reach LDAP either: the short name's, then `default`'s.
   So a site whose entries have short names gets its answers from disk, too,
   also while LDAP is away.
6. None: LDAP is asked.

Not here: asking LDAP (enc.answers.direct).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from enc.answers.layout import CLOCK_TOLERANCE, FRESH, Contact, Layout
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname

if TYPE_CHECKING:
    from enc.classify.model import Value

DEFAULT_NODE = "default"
_AGE_FOLLOWS = '"age":'
_TRIAL = re.compile(r'(.*\nenvironment: )"[A-Za-z0-9_]+" # until ([0-9]{1,11}) then ("[A-Za-z0-9_]+")', re.DOTALL)
_ENVIRONMENT = re.compile(
    r'^environment: "([A-Za-z0-9_]+)"(?: # until [0-9]{1,11} then "([A-Za-z0-9_]+)")?$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the disk says about one certname."""

    kind: Literal["answer", "refused", "too old", "unknown", "nobody follows"]
    text: str = ""
    """The answer as `enc` prints it, or the line that refuses."""
    trusted: str = ""
    """The JSON that `enc-trusted` prints."""


def read_contact(layout: Layout) -> Contact | None:
    """Return what the follower last said; None if it never did."""
    try:
        return Contact.parse(layout.contact.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None


def too_old(layout: Layout, age: int, max_age: int) -> str:
    """Return the line that refuses because of age; both in seconds."""
    return (
        f"the answers in {layout.root} are {age} s old, the limit (answers.max_age) is {max_age} s: LDAP has not "
        "been reached since then, or the follower is not running; see enc-admin status"
    )


def look_up(layout: Layout, certname: Certname, now: float) -> Found:
    """Return what `enc` says about `certname` at the time `now` without asking LDAP."""
    contact = read_contact(layout)
    if contact is None:
        return Found("nobody follows")
    age = int(now) - contact.contact
    if age < -CLOCK_TOLERANCE:
        return Found("nobody follows")
    age = max(age, 0)
    if age > contact.max_age:
        return Found("too old", too_old(layout, age, contact.max_age))
    alive = now - contact.beat <= FRESH
    best = alive and (age <= FRESH or contact.state == "unreachable")
    return on_disk(layout, certname, age, now=now, fallback=best)


def on_disk(layout: Layout, certname: Certname, age: int, *, now: float, fallback: bool) -> Found:
    """Return the answer or refusal in the files; `fallback` allows the short name's and `default`'s."""
    names = [str(certname)]
    if fallback and layout.fallback.is_dir():
        names += [certname.short, DEFAULT_NODE]
    for name in dict.fromkeys(names):
        found = _one(layout, name, age, now)
        if found is not None:
            return found
    return Found("unknown")


def _one(layout: Layout, name: str, age: int, now: float) -> Found | None:
    try:
        text = (layout.nodes / f"{name}.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if text.startswith("# {") and text.endswith((_AGE_FOLLOWS, "\n")):
        text = _without_past_trial(text, now)
        trusted = text.partition("\n")[0].removeprefix("# ")
        return Found("answer", f"{text} {age}\n" if text.endswith(_AGE_FOLLOWS) else text, trusted)
    try:
        line = (layout.refused / name).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Found("refused", line) if line else None


def _without_past_trial(text: str, now: float) -> str:
    head, classes, rest = text.partition("\nclasses:")
    match = _TRIAL.fullmatch(head)
    return match[1] + match[3] + classes + rest if match and now >= int(match[2]) else text


class Said(NamedTuple):
    """What an answer on disk lets its node read and run."""

    project: str | None
    labels: tuple[str, ...]
    """Region and role."""
    environments: tuple[str, ...]
    """Two during a trial: the one after it is the second."""


def said_by(text: str) -> Said | None:
    """Return what an answer's text (enc/classify/render.py) says of that; None if it is no answer of ours."""
    first, _, rest = text.partition("\n")
    try:
        trusted = json.loads(first.removeprefix("# "))
        labels = tuple(str(trusted[name]) for name in ("region", "role") if trusted[name] is not None)
        project = trusted["project"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    line = _ENVIRONMENT.search(rest)
    environments = () if line is None else tuple(name for name in line.groups() if name is not None)
    return Said(project, labels, environments)


_ESCAPED = re.compile(r"\\(?:x([0-9A-F]{2})|U([0-9A-F]{8})|.)")


def classes_in(text: str) -> str:
    """Return the lines of an answer's text that say its classes: nodes with the same ones have the same lines."""
    _, mark, rest = text.partition("\nclasses:")
    return rest.partition("\nparameters:")[0].strip("\n") if mark else ""


def classes_of(lines: str) -> dict[str, dict[str, Value]]:
    """Return the classes that these lines (`classes_in`) say, with their parameters; raise `Unreadable`.

    They are our own text (enc/classify/render.py), which is JSON but for rare things; those are left to YAML's reader.
    """
    found: dict[str, dict[str, Value]] = {}
    if lines.strip() in ("", "{}"):
        return found
    with suppress(ValueError, TypeError, RecursionError):
        for line in lines.split("\n"):
            found |= json.loads("{" + _ESCAPED.sub(_as_json, line) + "}")
        return {name: _parameters(given) for name, given in found.items()}
    import yaml  # here: hardly any answer needs it

    try:
        # Their own keys stand in quotes, so nothing but what was written there is made of them.
        read = yaml.load(f"classes:\n{lines}\n", Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return {str(name): _parameters(given) for name, given in read["classes"].items()}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise Unreadable("the classes of an answer cannot be read; the follower writes it anew") from error


class Unreadable(ToolkitError):
    """An answer on disk that is not as the follower writes it."""


def _parameters(given: object) -> dict[str, Value]:
    if not isinstance(given, dict):
        raise TypeError(given)
    return given


def _as_json(found: re.Match[str]) -> str:
    if found[1]:
        return f"\\u00{found[1]}"
    return json.dumps(chr(int(found[2], 16)))[1:-1] if found[2] else found[0]
