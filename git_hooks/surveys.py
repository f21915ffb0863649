"""What was found about the versions in the store: kept beside them, read for the next version and by `status`.

surveys/ENV/COMMIT is written before the version gets its name, so a version
without one was made before there were surveys; then, or if a power cut left it
damaged, the tree is surveyed whole. Nothing depends on them but time and words.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from enc.errors import NotFound
from git_hooks import config_version
from git_hooks.attributes import CheckoutOf
from git_hooks.layout import Layout
from git_hooks.refs import ObjectId
from git_hooks.repository import Repository
from git_hooks.sound import Sound
from git_hooks.survey import Survey, read, survey, text
from git_hooks.trees import UnsoundTree


class Surveys:
    """The surveys of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def kept(self, version: str) -> Survey | None:
        """Return what was found about a version (its directory); None: that is not known, and can be found anew."""
        try:
            return read(Path(self._layout.survey(version)).read_bytes())
        except OSError:
            return None

    def keep(self, version: str, found: Survey, work: str) -> None:
        """Keep what was found about a version that is about to be made."""
        place, aside = Path(self._layout.survey(version)), Path(work, "survey")
        aside.write_bytes(text(found))
        place.parent.mkdir(parents=True, exist_ok=True)
        aside.rename(place)

    def look(self, objects: Repository, sound: Sound, commit: ObjectId, base: str | None, work: str) -> Survey:
        """Return what is to be said about `commit`, looking at what differs from the version `base`.

        `sound` then knows how the base is laid out. Raise `UnsoundTree` if a tree object is damaged.
        """
        known = self.kept(base) if base is not None else None
        try:
            if base is not None:
                # Without what was kept, its trees are looked at all the same: files are shared with them.
                sound.show(known or survey(objects, objects.tree_of(ObjectId(Path(base).name))))
        except (NotFound, UnsoundTree):  # git has removed its commit since: nothing can be shared with it
            known = None
        checkout = CheckoutOf(objects, f"{work}/checkout")
        return survey(objects, objects.tree_of(commit), known, checkout, config_version.remarks)

    def sweep(self) -> None:
        """Forget those whose version is gone. The caller makes sure that nobody builds."""
        with suppress(FileNotFoundError):
            for directory in Path(self._layout.root, "surveys").iterdir():
                for place in directory.iterdir():
                    if not Path(self._layout.versions, directory.name, place.name).is_dir():
                        place.unlink()
                with suppress(OSError):
                    directory.rmdir()
