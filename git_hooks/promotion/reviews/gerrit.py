"""Gerrit: the label Code-Review of a change.

Facts (gerrit-review.googlesource.com, REST API, Changes):
- GET /a/changes/?q=commit:SHA&o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=CURRENT_REVISION lists changes: _number, branch,
  status, current_revision, and labels with `all`: [{value, username, date}]. +2 approves, -2 vetoes.
- Answers begin with a line `)]}'`. HTTP Basic with the account's HTTP password.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from enc.terms.names import BranchName
from git_hooks.promotion.reviews.review import Asking, Review, Reviewed, listed
from git_hooks.repository.refs import ObjectId

_LABEL = "Code-Review"
_APPROVED, _VETO = 2, -2


class Gerrit(Review):
    """Gerrit Code Review. A change is for its target branch; what it is called here does not matter."""

    def headers(self, token: str) -> Mapping[str, str]:
        """See Review. The token is USER:PASSWORD."""
        return {"Authorization": f"Basic {base64.b64encode(token.encode()).decode('ascii')}"}

    def ask(self, project: str, source: BranchName, commit: ObjectId, target: BranchName) -> Asking:
        """See Review."""
        del source
        options = "o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=CURRENT_REVISION"
        found = []
        for change in listed((yield f"/a/changes/?q=commit:{commit}&{options}")):
            if (change["project"], change["branch"], change["current_revision"]) != (project, target, commit):
                continue
            votes = change.get("labels", {}).get(_LABEL, {}).get("all", [])
            if change["status"] == "ABANDONED" or any(one.get("value", 0) <= _VETO for one in votes):
                continue
            number = int(change["_number"])
            found += [
                Reviewed(str(one["username"]), f"{number}@{commit[:10]}@{one.get('date', '')}")
                for one in votes
                if one.get("value", 0) >= _APPROVED
            ]
        return tuple(found)


REVIEW: Review = Gerrit()
