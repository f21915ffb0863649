"""Which nodes a change of files cannot affect."""

from __future__ import annotations

from typing import Any

import pytest

from enc.catalogs import catalog
from enc.catalogs.reach import Reach, Tree

FILES = {
    "manifests/site.pp": "node default { include base }\n",
    "hiera.yaml": "version: 5\n",
    "data/common.yaml": "a: \"%{lookup('said::x')}\"\nb: plain\n",
    "modules/base/manifests/init.pp": (
        "class base { include base::deep  if false { include far, untaken::one }\n"
        "notify { 'b': message => epp('tpl/x.epp') } }"
    ),
    "modules/base/manifests/deep.pp": "class base::deep { if defined(Class['maybe::one']) { } base::thing { 'a': } }",
    "modules/base/manifests/thing.pp": "define base::thing { file { '/a': source => 'puppet:///modules/filed/a' } }",
    "modules/base/manifests/unused.pp": "class base::unused { }",
    "modules/tpl/templates/x.epp": "<%= epp('inner/y.epp') %>",
    "modules/inner/templates/y.epp": "y",
    "modules/filed/files/a": "a",
    "modules/maybe/manifests/one.pp": "class maybe::one { }",
    "modules/said/manifests/init.pp": "class said { }",
    "modules/said/files/x": "x",
    "modules/far/manifests/init.pp": "class far { include farther }",
    "modules/far/templates/t.epp": "t",
    "modules/far/files/f": "f",
    "modules/lib/lib/puppet/functions/ask.rb": "call_function('epp', 'viaruby/z.epp')",
    "modules/viaruby/templates/z.epp": "z",
    "modules/untaken/manifests/one.pp": "class untaken::one { }",
    "modules/untaken/files/x": "x",
}
RESOURCES: list[dict[str, Any]] = [
    {"type": "Class", "title": "Base"},
    {"type": "Class", "title": "Base::Deep"},
    {"type": "Notify", "title": "b", "file": "/t/modules/base/manifests/init.pp", "parameters": {}},
    {"type": "Base::Thing", "title": "a", "file": "/t/modules/base/manifests/deep.pp", "parameters": {}},
]


def tree(files: dict[str, str]) -> Tree:
    def below(directory: str) -> list[str]:
        return [path for path in files if not directory or path.startswith(f"{directory}/")]

    return Tree(("modules",), below, lambda path: files.get(path, ""))


def affected(*changed: str, arrived: tuple[str, ...] = (), **more: str) -> bool:
    before = catalog.of({"resources": RESOURCES, "classes": ["settings", "base", "base::deep"]}, "/t")
    files = FILES | {path.replace("__", "/") + ".pp": text for path, text in more.items()}
    return Reach(tree(files), changed, arrived).affects(before)


@pytest.mark.parametrize(
    "path",
    [
        *("manifests/site.pp", "hiera.yaml", "data/common.yaml", "environment.conf", "Puppetfile", "functions/f.pp"),
        *("modules/far/lib/puppet/functions/x.rb", "modules/far/functions/x.pp", "modules/far/types/x.pp"),
        *("modules/far/hiera.yaml", "modules/far/data/common.yaml", "modules/far/metadata.json", "README.md"),
        *("modules/base/manifests/init.pp", "modules/base/manifests/deep.pp", "modules/base/manifests/thing.pp"),
        *("modules/tpl/templates/x.epp", "modules/inner/templates/y.epp", "modules/filed/files/a"),
        *("modules/maybe/manifests/one.pp", "modules/viaruby/templates/z.epp"),
        *("modules/tpl/templates/new.epp", "modules/base/manifests/deep/er.pp.bak", "modules/base/manifests"),
    ],
)
def test_what_may_affect_a_node(path: str) -> None:
    assert affected(path)


@pytest.mark.parametrize(
    "path",
    [
        *("modules/base/manifests/unused.pp", "modules/far/manifests/init.pp", "modules/far/templates/t.epp"),
        *("modules/far/files/f", "modules/far/manifests/new.pp", "modules/far/README.md", "modules/far/spec/x_spec.rb"),
        *("modules/untaken/manifests/one.pp", "modules/untaken/files/x", "modules/said/files/x"),
    ],
)
def test_what_cannot(path: str) -> None:
    assert not affected(path) and not affected(path, "modules/far/files/f")
    assert affected(path, "manifests/site.pp")


def test_a_module_that_comes_or_goes_may_affect_every_node() -> None:
    assert affected("modules/far/files/f", arrived=("modules/far",))


@pytest.mark.parametrize(
    "text",
    [
        *("epp($x)", 'template("${x}/t.erb")', "file($name)", "include base lookup($k)"),
        "file(module_directory('x'))",
    ],
)
def test_names_from_variables_may_be_any(text: str) -> None:
    assert affected("modules/far/templates/t.epp", manifests__more=f"class more {{ {text} }}")
    assert not affected("modules/far/manifests/init.pp", manifests__more=f"class more {{ {text} }}")
