"""The completion scripts of the three programs, run by a real bash over answers, environments and a repository."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from enc.cli import ENC_ADMIN, Program
from enc.programs.completion import script
from enc.settings import AnswerSettings, BranchSettings, Settings
from git_hooks.cli import BRANCH_MANAGER
from puppetmaster_self.cli import PUPPETMASTER_SELF

_HEAD = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "answers with 'quote"
    places = (
        "nodes/web1.example.yaml",
        "nodes/web2.example.yaml",
        "hiera/projects/red.yaml",
        "hiera/prefixes/rot/w.yaml",
    )
    repository = tmp_path / "a repo.git"
    for place in (
        *(root / place for place in places),
        *(
            repository / "refs/heads" / name
            for name in ("production", "project/reed", "project/x.lock", "topic/reed/y")
        ),
        *(tmp_path / "environments" / name for name in ("production", "project_reed")),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    for name in ("project/$(touch pwned)", "project/a;touch pwned"):  # git would take both
        (repository / "refs/heads" / name).touch()
    packed = [
        f"{_HEAD} refs/heads/project/rosa",
        f"{_HEAD} refs/heads/production",
        f"^{_HEAD}",
        f"{_HEAD} refs/tags/v1",
    ]
    (repository / "packed-refs").write_text("# pack-refs with: peeled\n" + "\n".join(packed) + "\n")
    branches = replace(BranchSettings(), repository=repository, environments=tmp_path / "environments")
    return Settings(answers=AnswerSettings(directory=root), branches=branches)


def completed(program: Program, typed: list[str], settings: Settings, cwd: Path) -> set[str]:
    text = script(program.parser(), "bash", settings)
    function = f"_{program.name.replace('-', '_')}"
    text += f'COMP_WORDS=({program.name} "$@"); COMP_CWORD=$#; {function}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", text, "bash", *typed], capture_output=True, text=True, check=True, cwd=cwd)
    assert done.stderr == ""
    assert not (cwd / "pwned").exists()
    found = done.stdout.split("\n")[:-1]
    assert len(set(found)) == len(found), "nothing is offered twice"
    return set(found) - {""}


@pytest.mark.parametrize(
    "typed, offered",
    [
        (["no"], {"node"}),
        (["node", "un"], {"unset", "undo"}),
        (["node", "set", "--json"], {"--json", "--json-variable"}),
        (["--config", "x", "node", "expl"], {"explain"}),
        (["node", "explain", "web1"], {"web1.example"}),
        (["node", "list", "--project", "r"], {"red", "rot", "reed", "rosa"}),
        (["node", "list", "--project", "=", "red"], {"red"}),
        (["node", "list", "--project", "="], {"red", "rot", "reed", "rosa"}),
        (["project", "show", "ree"], {"reed"}),
        (["node", "list", "--environment", "p"], {"production", "project_reed"}),
        (["node", "set", "web1.example", "--class", ""], set()),
        (["node", "try", "web1.example", "topic"], {"topic/reed/y"}),
        (["export", "--format", ""], {"yaml", "json", "ldif", "groups"}),
        (["node", "history", "--l"], {"--last"}),
        (["node", "explain", "none"], set()),
        (["node", "set", "$(touch pwned)"], set()),
        (["node", "set", "*"], set()),
    ],
)
def test_enc_admin(settings: Settings, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    assert completed(ENC_ADMIN, typed, settings, tmp_path) == offered


@pytest.mark.parametrize(
    "typed, offered",
    [
        (["ho"], {"hold", "hooks"}),
        (["hold", "p"], {"production", "project_reed", "project/reed", "project/rosa"}),
        (["status", "topic/"], {"topic/reed/y"}),
        (["approve", "--on", "project/r"], {"project/reed", "project/rosa"}),
        (["make-branches", "ro"], {"rot", "rosa"}),
        (["token", ""], {"create", "list", "revoke", "-h", "--help"}),
        (["completion", "z"], {"zsh"}),
        (["units", "env"], {"environments"}),
    ],
)
def test_branch_manager(settings: Settings, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    assert completed(BRANCH_MANAGER, typed, settings, tmp_path) == offered


@pytest.mark.parametrize(
    "typed, offered",
    [
        (["s"], {"status", "sync", "send"}),
        (["invite", "web"], {"web1.example", "web2.example"}),
        (["sync", "--forecast", "prod"], {"production"}),
        (["enable", "--up"], {"--upstream"}),
    ],
)
def test_puppetmaster_self(settings: Settings, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    assert completed(PUPPETMASTER_SELF, typed, settings, tmp_path) == offered


def test_files_with_spaces_are_whole(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "two words.yaml").touch()
    assert completed(ENC_ADMIN, ["--config", "two"], settings, tmp_path) == {"two words.yaml"}


@pytest.mark.parametrize("program", [ENC_ADMIN, BRANCH_MANAGER, PUPPETMASTER_SELF], ids=lambda program: program.name)
def test_the_program_prints_it(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"answers: {{directory: {tmp_path}/answers}}\n")
    for shell in ("bash", "zsh"):
        assert program.main(["--config", str(file), "completion", shell]) == 0
        printed = capsys.readouterr().out
        assert ("bashcompinit" in printed) == (shell == "zsh")
        assert f"complete -F _{program.name.replace('-', '_')} {program.name}\n" in printed
        assert f"{tmp_path}/answers/nodes" in printed
