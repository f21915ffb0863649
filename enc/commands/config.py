"""`enc-admin config`: check, show and explain the configuration; link it for the shell program `enc`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from enc.answers import layout
from enc.commands.call import Call, json_option, write_units
from enc.doctor import configuration
from enc.doctor.findings import document, lines, verdict
from enc.programs import log
from enc.programs.machine_trouble import reason
from enc.settings import config, origins
from enc.settings import reference as config_reference
from enc.settings.config import DEFAULT_PATH
from enc.systemd import units
from enc.terms.errors import ConfigurationError, ExitStatus

SUMMARY = "check, show and explain the configuration file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    json_option(actions.add_parser("check", help="read the file and try everything it points to"))
    showing = actions.add_parser("show", help="print the settings in force, and where each comes from; no secrets")
    showing.add_argument("key", metavar="KEY", nargs="?", help="only this setting or section, such as directory.uris")
    json_option(showing)
    words = "make the link FILE.answers, by which enc finds the answers without reading the file"
    json_option(actions.add_parser("link", help=words))
    actions.add_parser("example", help="print a complete file with every setting, its meaning and its default")
    written = actions.add_parser("units", help="write the systemd units and their accounts for this installation")
    written.add_argument(
        "directory", type=Path, metavar="DIR", help="directory to write to; docs/operation.md says what to do next"
    )
    json_option(written)


def run(call: Call) -> int:
    """Do the action."""
    action = call.arguments.action
    if action == "example":
        print(config_reference.example(), end="")
        return ExitStatus.DONE
    if action == "check":
        return _check(call)
    settings = call.settings
    if action == "units":
        return _units(call)
    if action == "show":
        return _show(call)
    place, directory = layout.link_of(call.config_path), settings.answers.directory
    try:
        changed = layout.link(call.config_path, directory)
    except OSError as error:
        raise ConfigurationError(f"cannot be made: {reason(error)}", where=str(place)) from error
    call.say(f"{place} -> {directory}" + ("" if changed else " (unchanged)"))
    call.show({"link": place, "directory": directory, "changed": changed}, ())
    return ExitStatus.DONE


def _check(call: Call) -> int:
    reading = config.read(call.config_path)
    log.setup(reading.settings.log)
    findings = [*configuration.gone(reading), *configuration.faults(reading)]
    if not reading.faults:  # else nobody knows what the file means to point at
        findings += configuration.check(call.config_path, reading.settings)
    call.show(document(findings), lines(findings))
    return ExitStatus.USAGE if reading.faults else verdict(findings)


def _show(call: Call) -> int:
    key, shown, found = call.arguments.key, config_reference.effective(call.settings), origins.origins(call.config_path)
    named_by = origins.chooser(call.arguments.config, os.environ)
    value, above = (shown, "") if key is None else (origins.part(shown, key), f"{key}.")
    wanted = {one: origin for one, origin in found.items() if key is None or one == key or one.startswith(above)}
    document = {
        "file": call.config_path if call.config_path.is_file() else None,
        "file_from": named_by,
        "settings": shown if key is None else _nested(key, value),
        "origins": {
            one: {"from": "default" if origin.line is None else "file", "line": origin.line}
            for one, origin in wanted.items()
        },
    }
    if key in found:
        line = found[key].line
        call.show(document, config_reference.as_text(value))
        words = f"{key}: " + ("the default" if line is None else f"from {call.config_path}, line {line}")
    else:
        call.show(document, origins.annotated(value, found, above))
        words = origins.told(call.config_path, named_by)
    if not call.json:
        call.say(words)
    return ExitStatus.DONE


def _nested(key: str, value: object) -> dict[str, object]:
    """Return the settings with nothing but `key`."""
    name, _, below = key.partition(".")
    return {name: _nested(below, value) if below else value}


def _units(call: Call) -> int:
    config = call.config_path.absolute()
    texts = units.files(
        Path(sys.argv[0]).absolute(),
        None if config == DEFAULT_PATH else config,
        call.settings.authorities.crl_files,
    )
    write_units(call, texts)
    return ExitStatus.DONE
