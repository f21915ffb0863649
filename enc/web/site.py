"""Puts a site together from its parts: one Flask application, strict about what is an address.

An address is the path as it is written, and a method that its rule names.
Flask would be kinder: it takes `//x` for `/x` or redirects there, and adds
HEAD and OPTIONS. Each of these is a second way to the same place, which the
rules of a proxy before us may not know.

Nothing is held between requests: no sessions, hence no secret key; no files.
Bodies are no business of the site's: a limit of Flask's (MAX_CONTENT_LENGTH)
cuts a body in chunks off without a word, so each part bounds what it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Flask, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter, Rule

from enc.web import part as forms
from enc.web.errors import answer_errors
from enc.web.part import Part


class _Rule(Rule):
    """A rule that takes the methods it names, and HEAD only if it is among them."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.methods is not None:
            self.methods &= set(named["methods"])


class _Anything(PathConverter):
    """The rest of a path, whatever it is: `path` of Werkzeug's wants something that does not begin with a slash."""

    regex = ".*?"
    part_isolating = False  # which Werkzeug gathers from `regex` otherwise


class _Site(Flask):
    url_rule_class = _Rule


def assemble(parts: Sequence[Part]) -> Flask:
    """Return the application of `parts`, of which one stands at the root.

    Their rules may use `<anything:NAME>` for the rest of a path.
    """
    site = _Site("enc.web", static_folder=None, template_folder=None)
    site.config["DEBUG"] = False  # whatever FLASK_DEBUG says
    site.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    site.url_map.merge_slashes = False
    site.url_map.converters["anything"] = _Anything
    site.before_request(_as_it_is_written)
    answer_errors(site, parts)
    for part in parts:
        site.register_blueprint(part.blueprint, url_prefix=part.at or None)
    return site


def _as_it_is_written() -> None:
    """Refuse a path that begins with two slashes; Werkzeug takes all but one of them away."""
    if request.environ.get("PATH_INFO", "").startswith("//"):
        raise NotFound


def health() -> Part:
    """Return the part that tells a proxy or a watch that the service is there; HAProxy asks with OPTIONS."""
    blueprint = Blueprint("health", __name__)

    @blueprint.route("", methods=["GET", "HEAD", "OPTIONS"])
    def ok() -> Any:
        return forms.text("ok")

    return Part(blueprint, log="health", form=forms.text, at="/healthz")
