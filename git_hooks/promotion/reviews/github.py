"""GitHub: reviews of a pull request.

Facts (docs.github.com, REST API, Pull requests, Pull request reviews):
- GET /repos/OWNER/NAME/commits/SHA/pulls lists the pull requests that have a commit.
- GET /repos/OWNER/NAME/pulls/NUMBER/reviews lists reviews, the oldest first: user.login, state (APPROVED,
  CHANGES_REQUESTED, COMMENTED, DISMISSED, PENDING), commit_id, id. A comment leaves an earlier verdict as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from enc.terms.names import BranchName
from git_hooks.promotion.reviews.review import Asking, Review, last_of_each, listed
from git_hooks.repository.refs import ObjectId

_VERDICTS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
_PAGES, _EACH = 20, 100
"""Pages of reviews that are looked at, and how many stand on one."""


class GitHub(Review):
    """github.com, and GitHub Enterprise."""

    def headers(self, token: str) -> Mapping[str, str]:
        """See Review."""
        return {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}

    def ask(self, project: str, source: BranchName, commit: ObjectId, target: BranchName) -> Asking:
        """See Review."""
        pulls = listed((yield f"/repos/{project}/commits/{commit}/pulls?per_page=100"))
        fitting = [
            pull
            for pull in pulls
            if pull["state"] == "open"
            and (pull["base"]["ref"], pull["head"]["ref"], pull["head"]["sha"]) == (target, source, commit)
        ]
        reviews = []
        for pull in fitting:
            for page in range(1, _PAGES + 1):
                place = f"/repos/{project}/pulls/{int(pull['number'])}/reviews"
                found = listed((yield f"{place}?per_page={_EACH}&page={page}"))
                reviews += found
                if len(found) < _EACH:
                    break
        verdicts = [one for one in reviews if one["state"] in _VERDICTS and one["user"]]
        return last_of_each(
            (str(one["user"]["login"]), str(one["id"]), one["state"] == "APPROVED" and one["commit_id"] == commit)
            for one in verdicts
        )


REVIEW: Review = GitHub()
