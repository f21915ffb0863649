"""A script that lets a shell complete a program's commands, options and names. Pure.

It is made from the parser, so it cannot disagree with it, and completes
without starting Python: nodes come from the names of files below the answers
directory, environments from their directory, branches from the repository's
files (not by git, which root would be refused in a repository that is not
root's), projects from hiera data, prefixes and branches. What a value is tells
its metavar (`_NAMES`).

A name that the shell could read as more than a name is not offered: what is
completed stands on somebody's command line unquoted.

zsh reads the same script through its bashcompinit (in zsh, `path` is the
search path, so no variable here has that name); fish gives the words typed so
far to a bash that has it. So there is one set of rules for all three. An own
page of code instead of argcomplete (which starts the program at each TAB) or shtab (a dependency
that knows nothing of our names).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from enc.programs.command_line import Parser
from enc.settings import Settings

_NAMES = {
    "CERTNAME": "nodes",
    "CERTNAME|BRANCH": "nodes branches",
    "NODE": "nodes",
    "PROJECT": "projects",
    "ENVIRONMENT": "environments",
    "BRANCH": "branches",
    "ENVIRONMENT|BRANCH": "environments branches",
    "BRANCH|COMMIT": "branches",
    "ENVIRONMENT|BRANCH|COMMIT": "environments branches",
    "COMMIT|BRANCH": "branches",
    "PROJECT|BRANCH|PERSON": "projects branches",
    "FILE": "files",
    "DIR": "files",
    "DIRECTORY": "files",
    "REPO": "files",
}
"""Metavar to the kinds of names that it takes."""

_SCRIPT = """\
# Completion of {program}; load it with:  eval "$({program} completion {shell})"
{prelude}{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} place= i taken= names=
    local -A offered=()
    COMPREPLY=()
    if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$place ${{COMP_WORDS[i]}}" in
{paths}
        esac
    done
    case "$place $before" in
{values}
        *) case $place in
{words}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$taken" -- "$word"))
    [[ $word == -* ]] || {function}_names $names
}}
{function}_names() {{
    local kind file ref
    for kind in "$@"; do
        case $kind in
            nodes) for file in {nodes}/"$word"*.yaml; do {function}_offer "${{file##*/}}" .yaml; done ;;
            environments) for file in {environments}/"$word"*; do {function}_offer "${{file##*/}}" ''; done ;;
            branches) {function}_branches '' ;;
            projects)
                for file in {projects}/"$word"*.yaml; do {function}_offer "${{file##*/}}" .yaml; done
                for file in {prefixes}/"$word"*; do {function}_offer "${{file##*/}}" ''; done
                {function}_branches project ;;
            files)
                local IFS=$'\\n'
                compopt -o filenames 2>/dev/null
                COMPREPLY+=($(compgen -f -- "$word")) ;;
        esac
    done
}}
{function}_branches() {{
    local ref IFS=$'\\n'
    for ref in $(find {heads} -type f -printf '%P\\n' 2>/dev/null); do
        {function}_branch "$1" "$ref"
    done
    [[ -r {packed} ]] || return
    while IFS=' ' read -r _ ref; do
        [[ $ref == refs/heads/* ]] && {function}_branch "$1" "${{ref#refs/heads/}}"
    done < {packed}
}}
{function}_branch() {{
    case $1 in
        '') {function}_offer "$2" '' ;;
        *) case $2 in
            */.lock|*.lock) ;;
{rules}
        esac ;;
    esac
}}
{function}_offer() {{
    local name=${{1%"$2"}}
    [[ $1 == "$word"* && $name != *[!A-Za-z0-9._/@+-]* && $name != *.lock && $name != -* ]] || return
    [[ ${{offered[$name]}} ]] && return
    offered[$name]=1
    COMPREPLY+=("$name")
}}
"""

_ENDS = {
    "bash": "complete -F {function} {program}\n",
    "zsh": "complete -F {function} {program}\n",
    # fish has --option=value as one word, which bash splits, and is given whole words back; a directory ends with '/'.
    "fish": """\
COMP_WORDS=("$@") head=
last=${{!#}}
if [[ $last == --*=* ]]; then
    head=${{last%%=*}}=
    COMP_WORDS=("${{@:1:$#-1}}" "${{last%%=*}}" = "${{last#*=}}")
fi
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
{function}
for word in "${{COMPREPLY[@]}}"; do
    [[ $word == */ || ! -d $word ]] || word=$word/
    printf '%s%s\\n' "$head" "$word"
done
""",
}
"""What comes after the functions, by shell; for fish, the end of what it lets bash do."""

_FISH = """\
# Completion of {program}; load it with:  {program} completion fish | source
function _{function}
    bash -c {script} bash (commandline -opc) (commandline -ct)
end
complete -c {program} -f -a '(_{function})'
"""

SHELLS = tuple(_ENDS)


def script(parser: Parser, shell: str, settings: Settings) -> str:
    """Return the completion script for `parser`, a program's with all its commands."""
    commands = [(command.prog.removeprefix(parser.prog), command) for command in parser.walk()]
    paths = [f"            {shlex.quote(path)}) place={shlex.quote(path)} ;;" for path, _ in commands if path]
    answers, branches = settings.answers.directory, settings.branches
    function = f"_{parser.prog.replace('-', '_')}"
    text = _SCRIPT.format(
        program=parser.prog,
        function=function,
        shell=shell,
        prelude="autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "",
        paths="\n".join(paths),
        values="\n".join(_values(commands)),
        words="\n".join(
            f"        {shlex.quote(path)}) {_takes(_of_command(command))} ;;" for path, command in commands
        ),
        nodes=shlex.quote(str(answers / "nodes")),
        projects=shlex.quote(str(answers / "hiera" / "projects")),
        prefixes=shlex.quote(str(answers / "hiera" / "prefixes")),
        environments=shlex.quote(str(branches.environments)),
        heads=shlex.quote(str(branches.repository / "refs" / "heads")),
        packed=shlex.quote(str(branches.repository / "packed-refs")),
        rules="\n".join(_projects_in(parser.prog, branches.rules)),
    ) + _ENDS[shell].format(program=parser.prog, function=function)
    if shell != "fish":
        return text
    # Between fish's single quotes only these two have a meaning.
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return _FISH.format(program=parser.prog, function=function, script=quoted)


class _Taken(NamedTuple):
    """What may stand somewhere."""

    words: tuple[str, ...]
    names: str


def _takes(taken: _Taken) -> str:
    return f"taken={shlex.quote(' '.join(taken.words))} names={shlex.quote(taken.names)}"


def _of_command(parser: Parser) -> _Taken:
    words: list[str] = []
    names: list[str] = []
    for action in parser._actions:
        if not action.option_strings:
            value = _of_value(action)
            words += value.words
            names += value.names.split()
    words += [name for action in parser._actions for name in action.option_strings]
    return _Taken(tuple(words), " ".join(dict.fromkeys(names)))


def _of_value(action: argparse.Action) -> _Taken:
    if action.choices is not None:
        return _Taken(tuple(map(str, action.choices)), "")
    metavar = "ENVIRONMENT" if "--environment" in action.option_strings else str(action.metavar)
    return _Taken((), _NAMES.get(metavar, ""))


def _values(commands: list[tuple[str, Parser]]) -> Iterator[str]:
    """Yield what is offered behind each option that takes a value, options with the same together."""
    found: dict[_Taken, list[str]] = {}
    for path, command in commands:
        for action in command._actions:
            if action.nargs != 0:
                for name in action.option_strings:
                    found.setdefault(_of_value(action), []).append(shlex.quote(f"{path} {name}"))
    for taken, places in found.items():
        yield f"        {'|'.join(places)}) {_takes(taken)} ;;"


def _projects_in(program: str, rules: tuple[str, ...]) -> Iterator[str]:
    """Yield the cases in which a branch is a whole project's, and so tells of a project (branches.rules)."""
    for rule in rules:
        before, name, after = rule.partition("=")[0].strip().partition("<name>")
        if name and "<" not in after:
            first, last = shlex.quote(before), shlex.quote(after)
            yield f"            {first}*/*{last}) ;;"
            yield f"            {first}*{last})"
            yield f"                ref=${{2#{first}}}; _{program.replace('-', '_')}_offer \"${{ref%{last}}}\" '' ;;"
