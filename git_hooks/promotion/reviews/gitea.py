"""Gitea and Forgejo: reviews of a pull request.

Facts (docs.gitea.com and forgejo.org, API, repoListPullRequests, repoListPullReviews):
- GET /repos/OWNER/NAME/pulls?state=open lists pull requests: number, base.ref, head.ref, head.sha.
- GET /repos/OWNER/NAME/pulls/INDEX/reviews lists reviews, the oldest first: user.login, state (APPROVED,
  REQUEST_CHANGES, COMMENT, PENDING, REQUEST_REVIEW), commit_id, dismissed, id.
"""

from __future__ import annotations

from collections.abc import Mapping

from enc.terms.names import BranchName
from git_hooks.promotion.reviews.review import Asking, Review, last_of_each, listed
from git_hooks.repository.refs import ObjectId

_VERDICTS = ("APPROVED", "REQUEST_CHANGES")
_PAGES, _EACH = 20, 50
"""Pages of open pull requests that are looked at, and how many stand on one."""


class Gitea(Review):
    """Gitea, and its descendants."""

    def headers(self, token: str) -> Mapping[str, str]:
        """See Review."""
        return {"Authorization": f"token {token}"}

    def ask(self, project: str, source: BranchName, commit: ObjectId, target: BranchName) -> Asking:
        """See Review."""
        reviews = []
        for page in range(1, _PAGES + 1):
            pulls = listed((yield f"/repos/{project}/pulls?state=open&limit={_EACH}&page={page}"))
            for pull in pulls:
                if (pull["base"]["ref"], pull["head"]["ref"], pull["head"]["sha"]) == (target, source, commit):
                    reviews += listed((yield f"/repos/{project}/pulls/{int(pull['number'])}/reviews?limit={_EACH}"))
            if len(pulls) < _EACH:
                break
        verdicts = [one for one in reviews if one["state"] in _VERDICTS and one["user"]]
        return last_of_each(
            (
                str(one["user"]["login"]),
                str(one["id"]),
                one["state"] == "APPROVED" and not one.get("dismissed") and one["commit_id"] == commit,
            )
            for one in verdicts
        )


REVIEW: Review = Gitea()
