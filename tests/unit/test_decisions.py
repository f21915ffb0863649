"""What no decision may hang on: somebody's words, the time of day where a length of time is meant, an assert.

Looked for in the source of the product. Each table says what is let be, and why; a line that nothing needs any more
fails, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from tests.unit.test_walls import all_uses, modules

PACKAGES = ("enc", "git_hooks")
"""puppetmaster_self has no time of day in it that a transaction goes by, and words of its own: its own tests."""

# Words

_WORDS_OF = frozenset({"args", "diagnostic", "strerror", "stderr", "message", "reason", "msg", "problem"})
"""What holds an error's words."""
_SAID = frozenset({"told", "reason", "stderr", "message", "detail", "why", "complaint", "output"})
"""What we call them."""
_LOOKS = frozenset({"startswith", "endswith", "find", "index", "count", "search", "match", "fullmatch", "__contains__"})

WORDS = {
    "git_hooks.mirror.remote_git": "an advice for people, put behind git's own words",
    "enc.answers.trouble": "whether the same is logged again",
    "enc.commands.instance_upkeep": "whether the same is said again",
    "git_hooks.mirror.catch_up": "a reason of our own that stands in our own file; who has it only waits for others",
    "enc.programs.log": "whether the log has more to say than people were told",
    "enc.doctor.keys": "told is a set of names there",
    "git_hooks.puppet_code.calls": "a key of the answer of our own program",
    "git_hooks.mirror.tries": "whether a reason is new, for the log",
}


def _says(node: ast.AST, caught: frozenset[str]) -> bool:
    """Tell whether a value is an error's words: `str(error)`, `f"{error}"`, `error.message`, or what we call so."""
    match node:
        case ast.Call(func=ast.Name("str" | "repr"), args=[ast.Name(name)]):
            return name in caught
        case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "strip" | "casefold" | "decode" | "splitlines")):
            return _says(inner, caught)
        case ast.JoinedStr(values=values):
            parts = [one.value for one in values if isinstance(one, ast.FormattedValue)]
            return any(isinstance(one, ast.Name) and one.id in caught for one in parts)
        case ast.Attribute(attr=attr):
            return attr in _WORDS_OF
        case ast.Name(name):
            return name in _SAID
        case ast.Subscript(value=inner):
            return _says(inner, caught)
    return False


def decisions_by_words(tree: ast.Module) -> Iterator[int]:
    """Yield the lines in which a text is looked for in an error's words."""
    caught = frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name)
    caught |= {"error", "failure", "fault", "problem", "trouble"}
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=right):
                member = any(isinstance(op, ast.In | ast.NotIn) for op in ops) and _says(right[0], caught)
                words = [one for one in (left, *right) if not isinstance(one, ast.Name) and _says(one, caught)]
                equal = any(isinstance(op, ast.Eq | ast.NotEq) for op in ops) and words
                if member or equal:
                    yield node.lineno
            case ast.Call(func=ast.Attribute(value=inner, attr=attr), args=arguments) if attr in _LOOKS and arguments:
                if _says(inner, caught) or any(_says(one, caught) for one in arguments):
                    yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept OSError as e:\n    g('digits' in str(e))",
        "try: f()\nexcept OSError as e:\n    g('no' not in f'{e}')",
        "if 'unique_search failed' in result.diagnostic: g()",
        "if 'sign in' not in reason: g()",
        "if told.startswith('fatal:'): g()",
        "if done.stderr.strip().endswith('x'): g()",
        "if re.search('x', str(error)): g()",
        "if error.args[0] == 'timed out': g()",
        "if error.strerror == 'No such file or directory': g()",
        "if 'shallow' in told.lower(): g()",
    ],
)
def test_words_are_found(source: str) -> None:
    assert list(decisions_by_words(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["if error.errno in FULL: g()", "if name in names: g()", "g(f'{error}')", "if result.code == 19: g()", "x = told"],
)
def test_other_decisions_are_none_by_words(source: str) -> None:
    assert not list(decisions_by_words(ast.parse(source)))


def ours() -> dict[str, ast.Module]:
    return {name: tree for name, tree in modules().items() if name.partition(".")[0] in PACKAGES}


def test_no_decision_hangs_on_somebodys_words() -> None:
    found = {name: lines for name, tree in ours().items() if (lines := list(decisions_by_words(tree)))}
    assert {name: lines for name, lines in found.items() if name not in WORDS} == {}
    assert WORDS.keys() - found.keys() == set()


# Asserts


def _narrows(test: ast.expr) -> bool:
    """Tell whether an assert only says to the type checker what types cannot say: that something is there."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(map(_narrows, values))
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(None)]):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name("isinstance"))):
            return True
        case ast.Call(func=ast.Name("isinstance")):
            return True
    return False


def test_no_decision_hangs_on_an_assert() -> None:
    """`python -O` leaves them out."""
    asserts = {(m, node.lineno): node.test for m, tree in ours().items() for node in ast.walk(tree)
               if isinstance(node, ast.Assert)}  # fmt: skip
    assert len(asserts) > 10
    assert [place for place, test in asserts.items() if not _narrows(test)] == []


# The time of day

CLOCKS = ("time.time", "time.time_ns", "time.localtime", "datetime.datetime.now", "datetime.datetime.utcnow")

TIME_OF_DAY = {
    "enc.signing.autosign": "until when tokens count, which LDAP says",
    "enc.answers.lock": "who else may have beaten of late; a wrong answer costs the wait, which is monotonic",
    "enc.answers.feeds": "when something was proven, which `contact` tells other processes",
    "enc.answers.scout": "likewise",
    "enc.answers.arrivals": "since when an entry is faulty, for people",
    "enc.answers.work": "until when trials count, which LDAP says",
    "enc.answers.seen_edits": "when an edit was seen, for people",
    "enc.answers.direct": "how old answers are, which another process wrote; trials",
    "enc.answers.session": "`contact`, which other processes read; a clock that went back is seen to",
    "enc.answers.status": "how old answers are, which another process wrote",
    "enc.programs.elapsed": "what it shows, beside the kernel's clock, by which all ages are counted",
    "enc.programs.whole_file": "how old a link is that a killed process left",
    "enc.doctor.authority": "until when a list of revocations counts",
    "enc.doctor.follower": "when the follower began, and how its clock stands to LDAP's",
    "enc.doctor.directory": "how the clock stands to LDAP's",
    "enc.systemd.notify": "how old answers are, in free text for people; life is told by the monotonic clock",
    "enc.edits.audit": "when an edit was made",
    "enc.instances.collector": "whether a file's time can be trusted to change",
    "enc.instances.lifecycle": "until when tokens count, and since when, in LDAP",
    "enc.cloud.allotment": "likewise",
    "enc.commands.*": "what people say and are shown",
    "git_hooks.doctor.remote": "when the service that is looked at wanted to do something",
    "git_hooks.checks.known_keys": "likewise: until when a secret is allowed",
    "git_hooks.opening.audit": "until when certificates are valid and secrets are allowed; when a verdict was given",
    "git_hooks.doctor.opening": "how many days ago that was",
    "git_hooks.checks.secrets": "until when a secret is allowed",
    "git_hooks.doctor.code": "which allowances of secrets have ended",
    "git_hooks.deploy.deployer": "when a deploy was, in its record",
    "git_hooks.deploy.module_sets": "how old fetched modules are; from process to process",
    "git_hooks.push.*": "who signed a push when; when it was refused; until when approvals and archives are kept",
    "git_hooks.transport.backend": "when a push was signed, for its hooks",
    "git_hooks.transport.signin": "until when tokens count",
    "git_hooks.transport.ssh": "how old what is kept of a person is",
    "git_hooks.branches.usage": "how old the follower's answers are; a clock that was set, either way, means unknown",
    "git_hooks.effects.comparing": "how old answers are, which another process wrote",
    "git_hooks.effects.running": "when an effect was known, for people",
    "git_hooks.promotion.desk": "when people decided, which is kept",
    "git_hooks.promotion.moving": "when something moved, which is kept",
    "git_hooks.upkeep.chores": "whether the end of a hold, which people wrote, has passed",
    "git_hooks.doctor.promotion": "since when something waits, which another process wrote; nothing ends by it",
    "git_hooks.mirror.catch_up": "when the forge answered, for people; what is kept how long",
    "git_hooks.mirror.receiver": "how old a webhook's signed time is",
    "git_hooks.mirror.tries": "kept from process to process; a clock that was set back is seen to",
    "git_hooks.commands.*": "what people say and are shown; until when archives are kept",
    "git_hooks.hook": "how old what is kept of a person is",
}
"""Where the time of day is meant. Lengths of time within one process are measured by time.monotonic."""


def test_the_time_of_day_is_read_where_it_is_meant() -> None:
    users = {m for m, found in all_uses().items() if m.partition(".")[0] in PACKAGES and found.intersection(CLOCKS)}
    assert sorted(m for m in users if not any(fnmatchcase(m, pattern) for pattern in TIME_OF_DAY)) == []
    assert [p for p in TIME_OF_DAY if not any(fnmatchcase(m, p) for m in users)] == []
