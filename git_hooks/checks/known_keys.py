"""The check: no private key of a known certificate comes, whatever it looks like in the file, in no commit.

A key is compared by its public half with the certificates that are known (secrets/known.py) and with those that the
same push brings. What is known, and what is noted about keys, is the site's (`Site.keys`). An allowance of the secret
counts where the certificate is known from the repository alone, as for the keys of a module's own tests; it does not
where an operator or the authority has it.

Not here: private keys as such, which are secrets like others (secrets.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from git_hooks.checks.look import History, Problem
from git_hooks.secrets import armour

if TYPE_CHECKING:
    from git_hooks.secrets.private_keys import PrivateKey


def check(history: History) -> Iterator[Problem]:
    """Yield what is wrong with the keys that commits bring."""
    for brought in history.brought:
        content, path = history.content(brought.entry), brought.path
        if content is None:
            if words := history.site.unchecked("a file that is too large to look for keys in"):
                yield Problem(path, words)
        elif blocks := list(armour.blocks(content)):
            from git_hooks.secrets import certificates, private_keys  # for few pushes, and it takes as long as a hook

            place = f"commit {brought.commit}, {path}" if brought.commit else path
            keys, known = private_keys.of(blocks), certificates.of(blocks)
            found = history.site.keys(place, keys, known, partial(_allowed, history, path, content))
            yield from (Problem(where, what) for where, what in found)
    # Where secrets are looked for, that check tells it.
    if history.settings.pushes.secrets == "off" and (cut := history.cut()) and (words := history.site.unchecked(cut)):
        yield Problem("", words)


def _allowed(history: History, path: str, content: bytes, key: PrivateKey) -> bool:
    """Tell whether operators allow what secrets.py has found where the key stands."""
    from git_hooks.secrets.engine import engine
    from git_hooks.secrets.kept import Allowances

    repository = history.settings.branches.repository
    findings = engine(repository, history.site.read).look(path, content).findings
    here = [one for one in findings if abs(one.line - key.line) <= 1 and "key" in one.kind]
    allowances = Allowances(repository)
    return bool(here) and all(allowances.allow(one, time.time()) for one in here)
