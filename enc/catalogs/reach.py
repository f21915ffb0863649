"""Which nodes a change of files cannot affect, by what their catalogs depend on. Pure; files are read by who asks.

The rule. A compile reads what its manifests name. So a node's catalog stays the
same if it compiled before, and every changed file

1. is of a module: in `manifests/`, or a template, a file or a text about the
   module. Whatever else changes (data, hiera.yaml, environment.conf, functions,
   types, Ruby, site manifests, a module that comes or goes) may affect every node;
2. if a manifest: declares no class or defined type that the catalog has, or
   that has one of those below it, or that is named in the code that was
   evaluated otherwise than to include it (what is included is in the catalog),
   and is no file that a resource of the catalog names;
3. if anything else: belongs to a module whose files the evaluated code does not name
   (`MODULE/…`), where no evaluated code calls a function that reads files or
   modules by a name from a variable, or asks for a module's directory.

Evaluated code is more here than Puppet evaluates: the files of all classes and
defined types of the catalog and those its resources name, all site manifests,
all functions and types of the environment, the Ruby of all modules, and the
templates, functions and types of each module that any of this names (`MODULE/`,
`MODULE::`, `MODULE(`). `%{…}` in data counts as well.

Not covered: code that builds a class's or module's name from pieces neither
of which is in it, and passes that on without Puppet's own functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from enc.catalogs.catalog import Catalog

_WORD = re.compile(r"(?:::)?[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*")
_DYNAMIC = re.compile(
    r"\b(?:epp|template|file|binary_file|find_file|find_template|call|defined|lookup|create_resources"
    r"|ensure_resources?|hiera\w*|load_module_metadata|function_\w+|call_function)\b[\s(\[]{0,4}[\"']?[$@#]"
    r"|\b(?:module_directory|get_module_path)\b"
)
_NAME = r"['\"]?(?:::)?[a-z]\w*(?:::[a-z]\w*)*['\"]?"
_INCLUDES = re.compile(rf"\b(?:include|require|contain)\b[\s(]{{1,4}}{_NAME}(?:\s{{0,20}},\s{{0,20}}{_NAME})*")
_REACHES = re.compile(r"([A-Za-z_]\w*)(?:::|\(|/)")
_FILES = re.compile(r"([A-Za-z_]\w*)/")
_IN_DATA = re.compile(r"%\{[^}]{0,400}\}")
_TEXTS = ("README", "CHANGELOG", "LICENSE", "REFERENCE", "CONTRIBUTING")
_ABOUT = ("templates", "files", "spec", "docs", "examples", "tests", "locales", "scripts")


class Tree(NamedTuple):
    """A tree as it was before the change."""

    modules: Collection[str]
    """Directories that hold modules, as paths in the tree: `modules`."""
    below: Callable[[str], Collection[str]]
    """A directory to the paths of all files below it; none if it is not there."""
    read: Callable[[str], str]
    """A path to the text of its file; empty if there is none."""
    manifests: Collection[str] = ("manifests",)
    """Where the site's own manifests are."""


class _Text(NamedTuple):
    words: frozenset[str]
    """Names in lower case, but for those of classes that are included."""
    modules: frozenset[str]
    """Those that may be modules of which something is used."""
    files: frozenset[str]
    """Those that may be modules of which files are read."""
    dynamic: bool


class Reach:
    """What one change can affect."""

    def __init__(self, tree: Tree, changed: Collection[str], arrived: Collection[str] = ()) -> None:
        """`changed`: paths that are new, changed or gone. `arrived`: modules' directories that come or go."""
        self._tree = tree
        self._classes: dict[str, str] = {}
        self._modules: set[str] = set()
        self._everybody = bool(arrived)
        for path in changed:
            self._sort(path)
        self._text = cache(self._read)
        self._of_module = cache(self._read_module)
        self._known = cache(self._read_known)
        self._of_everybody = cache(self._read_common)

    def affects(self, before: Catalog) -> bool:
        """Tell whether the node whose catalog that was may get another one."""
        if self._everybody:
            return True
        used = {name.lower() for name in before.classes}
        used |= {key.name.lower() for key in before.resources if key.type == "Class"}
        used |= {key.type.lower() for key in before.resources}
        files = {one.file for one in before.resources.values() if one.file}
        for path, name in self._classes.items():
            if path in files or name in used or any(one.startswith(f"{name}::") for one in used):
                return True
        evaluated = self._evaluated(used, files)
        if any(name in evaluated.words for name in self._classes.values()):
            return True
        return bool(self._modules) and (evaluated.dynamic or not self._modules.isdisjoint(evaluated.files))

    def _sort(self, path: str) -> None:
        for directory in self._tree.modules:
            if path.startswith(f"{directory}/"):
                module, _, rest = path[len(directory) + 1 :].partition("/")
                kind, _, below = rest.partition("/")
                if kind == "manifests" and below.endswith(".pp"):
                    name = below.removesuffix(".pp").replace("/", "::")
                    self._classes[path] = (module if name == "init" else f"{module}::{name}").lower()
                elif (kind in _ABOUT and below) or rest.upper().startswith(_TEXTS):
                    self._modules.add(module.lower())
                else:
                    self._everybody = True
                return
        self._everybody = True

    def _evaluated(self, used: Collection[str], files: Collection[str]) -> _Text:
        """Return all names in what may have been evaluated."""
        paths = {path for path in files if path.endswith(".pp")}
        paths.update(path for name in used for path in self._manifests_of(name))
        found = _joined([self._of_everybody(), *map(self._text, sorted(paths))])
        seen: set[str] = set()
        while new := (found.modules & self._known()) - seen:
            seen |= new
            found = _joined([found, *map(self._of_module, sorted(new))])
        return found

    def _manifests_of(self, name: str) -> Iterator[str]:
        module, _, rest = name.removeprefix("::").partition("::")
        for directory in self._tree.modules:
            parts = rest.split("::") if rest else []
            for end in range(len(parts), -1, -1):  # where it is not found, Puppet looks in the files above
                yield f"{directory}/{module}/manifests/{'/'.join(parts[:end]) or 'init'}.pp"
            yield f"{directory}/{module}/manifests/init.pp"

    def _read_known(self) -> frozenset[str]:
        paths = ((directory, path) for directory in self._tree.modules for path in self._tree.below(directory))
        return frozenset(path[len(directory) + 1 :].partition("/")[0].lower() for directory, path in paths)

    def _read_common(self) -> _Text:
        tree = self._tree
        code = [path for place in (*tree.manifests, "functions", "types", "lib") for path in tree.below(place)]
        code += [path for path in tree.manifests if path.endswith(".pp")]
        for directory in tree.modules:
            code += [path for path in tree.below(directory) if "/lib/puppet/" in path]
        inside = {f"{directory}/" for directory in tree.modules}
        data = [path for path in tree.below("") if path.endswith((".yaml", ".yml", ".json", ".eyaml"))]
        said = " ".join(
            found for path in data if not path.startswith(tuple(inside)) for found in _IN_DATA.findall(tree.read(path))
        )
        return _joined([*map(self._text, code), _of(said)])

    def _read_module(self, module: str) -> _Text:
        found = []
        for directory in self._tree.modules:
            for path in self._tree.below(directory):
                name, _, rest = path[len(directory) + 1 :].partition("/")
                if name.lower() == module and rest.startswith(("functions/", "types/", "templates/", "lib/puppet/")):
                    found.append(self._text(path))
        return _joined(found)

    def _read(self, path: str) -> _Text:
        return _of(self._tree.read(path))


def _of(text: str) -> _Text:
    plain = _INCLUDES.sub(" ", text)
    names = frozenset(name.lower().removeprefix("::") for name in _WORD.findall(plain))
    modules, files = (frozenset(map(str.lower, one.findall(text))) for one in (_REACHES, _FILES))
    return _Text(names, modules, files, _DYNAMIC.search(text) is not None)


def _joined(texts: Iterable[_Text]) -> _Text:
    found = list(texts)
    nothing: frozenset[str] = frozenset()
    return _Text(
        nothing.union(*(one.words for one in found)),
        nothing.union(*(one.modules for one in found)),
        nothing.union(*(one.files for one in found)),
        any(one.dynamic for one in found),
    )
