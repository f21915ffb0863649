"""The completion scripts of the three programs, run by a real bash over answers, environments and a repository."""

from __future__ import annotations

import shlex
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


def in_fish(program: Program, line: str, settings: Settings, cwd: Path) -> set[str]:
    """Return what a real fish offers behind `line`."""
    (cwd / "script.fish").write_text(script(program.parser(), "fish", settings))
    asked = f"source script.fish; complete -C {line!r}"
    done = subprocess.run(["fish", "--no-config", "-c", asked], capture_output=True, text=True, check=True, cwd=cwd)
    assert done.stderr == "" and not (cwd / "pwned").exists()
    return set(done.stdout.split("\n")[:-1])


@pytest.mark.parametrize(
    "line, offered",
    [
        ("enc-admin no", {"node"}),
        ("enc-admin node un", {"unset", "undo"}),
        ("enc-admin --config x node expl", {"explain"}),
        ("enc-admin node explain web1", {"web1.example"}),
        ("enc-admin node list --project r", {"red", "rot", "reed", "rosa"}),
        ("enc-admin node list --project=r", {f"--project={name}" for name in ("red", "rot", "reed", "rosa")}),
        ("enc-admin node try web1.example topic", {"topic/reed/y"}),
        ("enc-admin node set web1.example --class ", set()),
        ("enc-admin node explain none", set()),
        ("enc-admin node set $(touch pwned)", set()),
        ("enc-admin completion f", {"fish"}),
        ("enc-admin --config two", {"two words.yaml"}),
        ("enc-admin --config dire", {"directory/"}),
        ("branch-manager status topic/", {"topic/reed/y"}),
        ("puppetmaster-self sync --forecast prod", {"production"}),
    ],
)
def test_fish(settings: Settings, tmp_path: Path, line: str, offered: set[str]) -> None:
    (tmp_path / "two words.yaml").touch()
    (tmp_path / "directory").mkdir()
    programs = {program.name: program for program in (ENC_ADMIN, BRANCH_MANAGER, PUPPETMASTER_SELF)}
    assert in_fish(programs[line.split()[0]], line, settings, tmp_path) == offered


def in_zsh(lines: list[str], settings: Settings, cwd: Path) -> list[str]:
    """Return what a real zsh at a terminal makes of each of `lines` at TAB."""
    (cwd / "script.zsh").write_text(script(ENC_ADMIN.parser(), "zsh", settings))
    typed = "".join(f"zpty -w -n z $'\\x15'{shlex.quote(line)}$'\\t'; until_shown\n" for line in lines)
    (cwd / "ask.zsh").write_text(_ASK + typed)
    done = subprocess.run(["zsh", "-f", "ask.zsh"], capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.stderr == "" and done.returncode == 0, done
    return done.stdout.split("\n")[:-1]


_ASK = """\
# A zsh with a terminal; behind each TAB it tells its command line, when it has completed.
zmodload zsh/zpty
zpty z zsh -f -i
until_shown() {
    local all= some
    zpty -w -n z $'\\x18'
    while [[ $all != *'<'*'>'* ]]; do zpty -r z some || exit 1; all+=$some; done
    some=${all##*'<'}
    print -r -- "${some%%'>'*}"
}
zpty -w z 'PS1=; unsetopt zle_bracketed_paste; LISTMAX=1000; autoload -Uz compinit; compinit -D -u; source ./script.zsh'
zpty -w z 'tell() { print -r -- "<$BUFFER>"; }; zle -N tell; bindkey "^X" tell'
zpty -w z 'bindkey "^U" kill-whole-line; print READY$((1))'
while zpty -r z some; do [[ $some == *READY1* ]] && break; done
"""


def test_zsh(settings: Settings, tmp_path: Path) -> None:
    expected = {
        "enc-admin no": "enc-admin node ",
        "enc-admin node expl": "enc-admin node explain ",
        "enc-admin node explain web1": "enc-admin node explain web1.example ",
        "enc-admin node explain w": "enc-admin node explain web",
        "enc-admin node list --project re": "enc-admin node list --project re",
        "enc-admin node list --project ros": "enc-admin node list --project rosa ",
        "enc-admin node try web1.example topic": "enc-admin node try web1.example topic/reed/y ",
    }
    assert in_zsh([*expected], settings, tmp_path) == [*expected.values()]


def test_files_with_spaces_are_whole(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "two words.yaml").touch()
    assert completed(ENC_ADMIN, ["--config", "two"], settings, tmp_path) == {"two words.yaml"}


@pytest.mark.parametrize("program", [ENC_ADMIN, BRANCH_MANAGER, PUPPETMASTER_SELF], ids=lambda program: program.name)
def test_the_program_prints_it(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"answers: {{directory: {tmp_path}/answers}}\n")
    assert program.main(["--config", str(file), "completion", "fish"]) == 0
    assert f"complete -c {program.name} " in capsys.readouterr().out
    for shell in ("bash", "zsh"):
        assert program.main(["--config", str(file), "completion", shell]) == 0
        printed = capsys.readouterr().out
        assert ("bashcompinit" in printed) == (shell == "zsh")
        assert f"complete -F _{program.name.replace('-', '_')} {program.name}\n" in printed
        assert f"{tmp_path}/answers/nodes" in printed
