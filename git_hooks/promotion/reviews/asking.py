"""Asks the forge at which changes are reviewed who approved a commit, and whose accounts these are in LDAP.

Every answer is asked for anew; nothing is kept. The number of requests for one commit is bounded, as is each answer.

Failure mode: `ToolkitError`, with what the forge said; then nobody has approved anything.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple
from urllib import request

from enc.settings.config import read_secret
from enc.settings.forges import REVIEWS
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, PersonName
from git_hooks.mirror.forge_request import NoAnswer, answer
from git_hooks.promotion.reviews.review import Review, Reviewed
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import ReviewSettings

_REQUESTS = 60
_LARGEST = 8 << 20
_GUARD = b")]}'"
"""What Gerrit puts before its documents."""


class Approved(NamedTuple):
    """That somebody approved the commit."""

    who: PersonName
    via: str
    """The forge, the account and the number of the review: another one is another approval."""


class Reviews:
    """The reviews at the forge, if the site has one."""

    def __init__(self, settings: ReviewSettings) -> None:
        """Ask nothing yet."""
        self._settings = settings
        lines = (line.partition("=") for line in settings.people)
        self._people = {account.strip(): uid.strip() for account, _, uid in lines}

    @property
    def elsewhere(self) -> bool:
        """Whether changes are reviewed at a forge."""
        return self._settings.forge is not None

    def approvals(self, source: BranchName, commit: ObjectId, target: BranchName) -> tuple[Approved, ...]:
        """Return who approved that `commit`, the last of `source`, gets to `target`; raise `ToolkitError`."""
        forge, project = self._settings.forge, self._settings.project
        if forge is None or project is None:
            return ()
        review: Review = import_module(REVIEWS[forge]).REVIEW
        found = self._asked(review, project, source, commit, target)
        names = ((one, self._people.get(one.account, one.account)) for one in found)
        return tuple(
            Approved(PersonName(name), f"{forge} {one.account} {one.number}")
            for one, name in names
            if PersonName.accepts(name)
        )

    def _asked(
        self, review: Review, project: str, source: BranchName, commit: ObjectId, target: BranchName
    ) -> tuple[Reviewed, ...]:
        asking = review.ask(project, source, commit, target)
        try:
            path = next(asking)
            for _ in range(_REQUESTS):
                path = asking.send(self._document(review, path))
        except StopIteration as end:
            done: tuple[Reviewed, ...] = end.value
            return done
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            what = f"the forge's answer is not as {self._settings.forge} documents it: {type(error).__name__} {error}"
            raise ToolkitError(what, where=self._settings.api) from error
        raise ToolkitError(f"the forge has more reviews than are asked for ({_REQUESTS})", where=self._settings.api)

    def _document(self, review: Review, path: str) -> object:
        settings = self._settings
        token = read_secret(settings.token_file) if settings.token_file is not None else ""
        headers = {"Accept": "application/json", "User-Agent": "puppetmaster"}
        headers |= review.headers(token) if token else {}
        asking = request.Request(f"{settings.api}{path}", headers=headers)  # noqa: S310 - https, checked
        try:
            said = answer(asking, settings.timeout, _LARGEST + 1)
        except NoAnswer as error:
            raise ToolkitError(f"the approvals cannot be read: {error}", where=settings.api) from error
        if len(said) > _LARGEST:
            raise ToolkitError(f"the forge's answer has more than {_LARGEST} bytes", where=settings.api)
        return json.loads(said.removeprefix(_GUARD))
