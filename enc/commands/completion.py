"""`enc-admin completion`: a script that lets the shell complete commands, options and names.

It is made from the parser, so it cannot disagree with it, and completes
without starting Python: certnames and projects come from the file names below
the answers directory. zsh reads the same script through its bashcompinit. An
own page of code instead of argcomplete (which starts the program at each TAB)
or shtab (a dependency that knows nothing of our names).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

from enc.commands.call import Call

SUMMARY = "print a completion script for bash or zsh"

_SCRIPT = """\
# Completion of enc-admin; load it with:  eval "$(enc-admin completion {shell})"
{prelude}_enc_admin() {{
    local word path i words names
    word=${{COMP_WORDS[COMP_CWORD]}}
    path=
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${{COMP_WORDS[i]}}" in
{paths}
        esac
    done
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
        --project) _enc_admin_names projects; return ;;
        --config) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    case $path in
{words}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ $word == -* || -z $names ]] || _enc_admin_names "$names"
}}
_enc_admin_names() {{
    local file
    case $1 in
        nodes) set -- {nodes}/"$word"*.yaml ;;
        projects) set -- {projects}/"$word"*.yaml ;;
    esac
    for file in "$@"; do
        [[ -e $file ]] || continue
        file=${{file##*/}}
        COMPREPLY+=("${{file%.yaml}}")
    done
}}
complete -F _enc_admin enc-admin
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"))


def run(call: Call) -> int:
    """Print the script."""
    from enc.cli import build_parser  # here: enc.cli imports the command modules

    print(script(build_parser(), call.arguments.shell, call.settings.answers.directory))
    return 0


def script(parser: argparse.ArgumentParser, shell: str, answers: Path) -> str:
    """Return the completion script for `parser`."""
    commands = list(_commands(parser, ""))
    paths = [f"            {shlex.quote(path)}) path={shlex.quote(path)} ;;" for path, _ in commands if path]
    words = []
    for path, command in commands:
        offered = " ".join(_words(command))
        names = _names(command)
        words.append(f"        {shlex.quote(path)}) words={shlex.quote(offered)} names={names} ;;")
    return _SCRIPT.format(
        shell=shell,
        prelude="autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "",
        paths="\n".join(paths),
        words="\n".join(words),
        nodes=shlex.quote(str(answers / "nodes")),
        projects=shlex.quote(str(answers / "hiera" / "projects")),
    )


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _commands(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for name, command in _below(parser).items():
        yield from _commands(command, f"{path} {name}")


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from _below(parser)
    for action in parser._actions:
        yield from action.option_strings
        if action.choices is not None and not isinstance(action, argparse._SubParsersAction):
            yield from map(str, action.choices)


def _names(parser: argparse.ArgumentParser) -> str:
    shown = {action.metavar for action in parser._actions if not action.option_strings}
    return "nodes" if "CERTNAME" in shown else "projects" if "PROJECT" in shown else ""
