"""The completion script, run by a real bash over a directory of answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from enc.cli import build_parser
from enc.commands.completion import script


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    root = tmp_path / "answers with 'quote"
    for place in ("nodes/web1.example.yaml", "nodes/web2.example.yaml", "hiera/projects/red.yaml"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()
    return root


@pytest.mark.parametrize(
    "typed, offered",
    [
        (["no"], {"node"}),
        (["node", "un"], {"unset", "undo"}),
        (["node", "set", "--json"], {"--json", "--json-variable"}),
        (["--config", "x", "node", "expl"], {"explain"}),
        (["node", "explain", "web1"], {"web1.example"}),
        (["node", "list", "--project", "r"], {"red"}),
        (["node", "history", "--l"], {"--last"}),
        (["node", "explain", "none"], set()),
        (["node", "set", "$(touch pwned)"], set()),
    ],
)
def test_bash_completes(answers: Path, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    program = script(build_parser(["node"]), "bash", answers)
    program += 'COMP_WORDS=(enc-admin "$@"); COMP_CWORD=$#; _enc_admin; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", program, "bash", *typed], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (set(done.stdout.split()), done.stderr) == (offered, "")
    assert not (tmp_path / "pwned").exists()


def test_zsh_gets_bashcompinit() -> None:
    assert "bashcompinit" in script(build_parser(["node"]), "zsh", Path("/answers"))
