"""The reference parts of docs/: every command and option from the parser, every setting from the dataclasses.

`python -m enc.reference docs` writes them between their marks, a test holds
the docs to them. The words around them are written by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from enc.cli import build_parser
from enc.programs.command_line import Parser
from enc.settings import reference as config_reference

MAKER = "python -m enc.reference docs"
END = "<!-- end of what is made -->"
PAGES = {"configuration.md": "settings", "commands.md": "commands"}


def made(page: str) -> str:
    """Return the made part of `page`."""
    lines = _settings() if PAGES[page] == "settings" else _commands(build_parser())
    return "\n".join(lines)


def renewed(page: str, text: str) -> str:
    """Return the text of `page` with its made part as it should be."""
    return with_part(text, MAKER, made(page))


def with_part(text: str, maker: str, part: str) -> str:
    """Return the text of a page with `part` between the marks that name its `maker`."""
    begin = f"<!-- made by: {maker} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{part}\n\n{END}{after}"


def commands(parser: argparse.ArgumentParser) -> str:
    """Return the part about every command of `parser`."""
    return "\n".join(_commands(parser))


def _settings() -> Iterator[str]:
    last = ""
    for setting in config_reference.settings():
        if setting.section[0] != last:
            if last:
                yield ""
            last = setting.section[0]
            yield f"### {last}"
            yield ""
            yield config_reference.section_meaning((last,))
            yield ""
            yield "| key | takes | default | meaning |"
            yield "|---|---|---|---|"
        for shown in (setting, *setting.parts):
            default = f"`{shown.default_yaml}`" if shown.default_yaml else "none, needed"
            yield f"| `{shown.key}` | {shown.takes} | {default} | {_cell(shown.meaning)} |"


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    for number, (command, words) in enumerate(_parsers(parser, "")):
        if number:
            yield ""
        yield f"### {command.prog}"
        yield ""
        yield f"`{_usage(command)}`"
        yield ""
        yield _sentence(words)
        if isinstance(command, Parser) and command.example:
            yield ""
            yield f"Example: `{command.example}`"
        for index, action in enumerate(_arguments(command)):
            if index == 0:
                yield ""
                yield "| argument | meaning |"
                yield "|---|---|"
            yield f"| {_names(action)} | {_cell(_help(action))} |"


def _parsers(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield each parser below `parser` that takes arguments or ends a command line, and what it is for."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if words and (not below or _arguments(parser)):
        yield parser, words
    for action in below:
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, command in action.choices.items():
            yield from _parsers(command, helps.get(name, ""))


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]


def _usage(command: argparse.ArgumentParser) -> str:
    """Return the command line in short: options are in the table."""
    words = [command.prog]
    arguments = _arguments(command)
    words += ["[OPTIONS]"] if any(action.option_strings for action in arguments) else []
    for action in arguments:
        if not action.option_strings:
            word = _value(action)
            words.append({"?": f"[{word}]", "*": f"[{word}…]", "+": f"{word}…"}.get(str(action.nargs), word))
    return " ".join(words)


def _value(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return " ".join(value) if isinstance(value, tuple) else value


def _names(action: argparse.Action) -> str:
    value = _cell(_value(action))
    if not action.option_strings:
        return f"`{value}`"
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(f"`{name}{takes}`" for name in action.option_strings)


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % vars(action)
    return text + ("; required" if action.required and action.option_strings else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def main() -> None:
    """Renew the pages below the directory that the command line names."""
    for page in PAGES:
        path = Path(sys.argv[1]) / page
        path.write_text(renewed(page, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
