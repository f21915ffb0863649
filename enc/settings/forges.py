"""The forges whose webhooks are taken: the one table of them. Pure.

A forge is a module of the form that git_hooks/mirror/forges/forge.py describes, and a
line here. This package only knows their names, so as to refuse another one; the
branch manager imports the module of the one that is configured.
"""

from __future__ import annotations

FORGES: dict[str, str] = {
    "github": "git_hooks.mirror.forges.github",
    "gitea": "git_hooks.mirror.forges.gitea",
    "gitlab": "git_hooks.mirror.forges.gitlab",
    "gerrit": "git_hooks.mirror.forges.gerrit",
}
"""What stands in `branches.mirror.forge`, to its module."""

REVIEWS: dict[str, str] = {
    "github": "git_hooks.promotion.reviews.github",
    "gitea": "git_hooks.promotion.reviews.gitea",
    "gitlab": "git_hooks.promotion.reviews.gitlab",
    "gerrit": "git_hooks.promotion.reviews.gerrit",
}
"""What stands in `promotion.review.forge`, to the module that reads its approvals (git_hooks/promotion/reviews/)."""
