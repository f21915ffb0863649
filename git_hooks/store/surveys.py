"""What was found about the versions in the store: kept beside them, read for the next version and by `status`.

surveys/ENV/COMMIT is written before the version gets its name, so a version
without one was made before there were surveys; then, or if a power cut left it
damaged, the tree is surveyed whole. Nothing depends on them but time and words.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import NotFound
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import UnsoundTree
from git_hooks.store import config_version
from git_hooks.store.attributes import CheckoutOf
from git_hooks.store.layout import Layout
from git_hooks.store.sound import Sound
from git_hooks.store.survey import Remark, Survey, read, survey, text


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

    def remarks(self, version: str) -> tuple[Remark, ...]:
        """Return what people are told about a version; nothing if that is not known."""
        found = self.kept(version)
        return found.told if found is not None else ()

    def keep(self, version: str, found: Survey, work: str) -> None:
        """Keep what was found about a version that is about to be made."""
        place = Path(self._layout.survey(version))
        place.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(place, text(found), mode=0o644, survives=Strength.KILL)

    def shown(self, version: str, sound: Sound, like: Survey | None = None) -> Survey:
        """Return what is left out of a version, and let `sound` know it; raise `NotFound`, `UnsoundTree`.

        What was not kept is found anew, quicker if a tree that is much the same was surveyed (`like`).
        """
        tree = sound.repository.tree_of(ObjectId(Path(version).name))
        found = self.kept(version)
        if found is None or found.tree != tree:
            found = survey(sound.repository, tree, like)
        sound.show(found)
        return found

    def look(self, sound: Sound, commit: ObjectId, base: str | None, work: str) -> Survey:
        """Return what is to be said about `commit`, looking at what differs from the version `base`.

        `sound` then knows how the base is laid out. Raise `UnsoundTree` if a tree object is damaged.
        """
        known = self.kept(base) if base is not None else None
        try:
            if base is not None:
                self.shown(base, sound)  # also without what was kept: files are shared with its trees
        except (NotFound, UnsoundTree):  # git has removed its commit since: nothing can be shared with it
            known = None
        objects = sound.repository
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
