"""GitLab: approvals of a merge request.

Facts (docs.gitlab.com, Merge requests API, Merge request approvals API):
- GET /projects/OWNER%2FNAME/merge_requests?state=opened&source_branch=…&target_branch=… lists merge requests: iid, sha
  (the last commit of the source).
- GET /projects/OWNER%2FNAME/merge_requests/IID/approvals has approved_by: [{user: {username}, approved_at}]. It does
  not say which commit was approved: so that approvals end with a new commit, the project's setting "Remove all
  approvals when commits are added to the source branch" must be on.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from enc.terms.names import BranchName
from git_hooks.promotion.reviews.review import Asking, Review, Reviewed, listed
from git_hooks.repository.refs import ObjectId


class GitLab(Review):
    """gitlab.com, and GitLab of one's own."""

    def headers(self, token: str) -> Mapping[str, str]:
        """See Review."""
        return {"PRIVATE-TOKEN": token}

    def ask(self, project: str, source: BranchName, commit: ObjectId, target: BranchName) -> Asking:
        """See Review."""
        place = f"/projects/{quote(project, safe='')}/merge_requests"
        branches = f"source_branch={quote(source, safe='')}&target_branch={quote(target, safe='')}"
        found = []
        for request in listed((yield f"{place}?state=opened&{branches}")):
            if request["sha"] == commit:
                number = int(request["iid"])
                said = yield f"{place}/{number}/approvals"
                for one in said["approved_by"]:
                    at = one.get("approved_at") or ""
                    found.append(Reviewed(str(one["user"]["username"]), f"{number}@{commit[:10]}{at and '@' + at}"))
        return tuple(found)


REVIEW: Review = GitLab()
