"""`enc-admin directory`: the embedded slapd of a small site."""

from __future__ import annotations

import argparse
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.directory.embedded import EmbeddedDirectory
from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.directory.listening import Listening
from enc.terms.errors import ExitStatus, UsageError
from enc.terms.names import ProjectName

SUMMARY = "start, stop, check, back up and restore the embedded slapd"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    parser.add_argument(
        "--data-directory", type=Path, metavar="DIR", help="where it is; default: directory.data_directory"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser("start", help="create it if necessary, start it, and return when it answers")
    start.add_argument("--suffix", help="suffix of a new tree; default: directory.suffix")
    start.add_argument("--port", type=int, help="port on 127.0.0.1; default: the last one, else a free one")
    start.add_argument(
        "--ldif", type=Path, action="append", default=[], metavar="FILE", help="LDIF to load into a new directory"
    )
    start.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="ADDRESS[:PORT]",
        help="also offer ldaps:// on this address of the machine (0.0.0.0: on all; may be repeated); default: on"
        " 127.0.0.1 only. Needs a certificate",
    )
    start.add_argument("--tls-certificate", type=Path, metavar="FILE", help="offer StartTLS and ldaps:// (PEM)")
    start.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    start.add_argument("--tls-authority", type=Path, metavar="FILE", help="the chain above the certificate (PEM)")
    start.add_argument(
        "--site-project",
        action="append",
        metavar="PROJECT",
        help="create the account cn=enc-projects, which sees nothing of this project (may be repeated); default: "
        "domains.site_projects, else the last ones",
    )
    json_option(start)
    json_option(actions.add_parser("stop", help="stop it, and return when it has ended"))
    json_option(actions.add_parser("status", help="show its state; exit status 4 if it does not answer"))
    backup = actions.add_parser("backup", help="write everything as LDIF, running or not")
    backup.add_argument("file", type=Path, metavar="FILE", help="written with mode 0600: it holds password hashes")
    restore = actions.add_parser("restore", help="replace everything with a backup; the directory must be stopped")
    restore.add_argument("file", type=Path, metavar="FILE", help="LDIF of a backup")
    for each in (backup, restore):
        json_option(each)


def run(call: Call) -> int:
    """Do the action."""
    arguments = call.arguments
    directory = _directory(call)
    place = directory.home.data_dir
    if arguments.action == "start":
        listen = tuple(Listening.parse(text) for text in arguments.listen)
        parts = arguments.port, _tls(arguments), listen
        options = StartOptions(*parts, site_projects=_site_projects(call), roles=_roles(call))
        directory.init(ldif=arguments.ldif, port=arguments.port)
        status = directory.start(options)
        if away := [one.uri for one in listen if one.uri not in status.uris]:
            raise UsageError(f"it is already running, but not at {', '.join(away)}; stop it first", where=str(place))
        return _show(call, directory)
    if arguments.action == "status":
        return _show(call, directory)
    if arguments.action == "stop":
        directory.stop()
        call.say(f"{place}: stopped")
        call.show({"data_directory": place}, ())
    elif arguments.action == "backup":
        directory.backup(arguments.file.absolute())
        size = arguments.file.stat().st_size
        call.say(f"{arguments.file}: {size} bytes")
        call.show({"data_directory": place, "file": arguments.file.absolute(), "bytes": size}, ())
    else:
        directory.restore(arguments.file.absolute())
        call.say(f"{place}: restored from {arguments.file}; start it with `enc-admin directory start`")
        call.show({"data_directory": place, "file": arguments.file.absolute()}, ())
    return ExitStatus.DONE


def _directory(call: Call) -> EmbeddedDirectory:
    suffix = getattr(call.arguments, "suffix", None)
    place = call.arguments.data_directory
    if place is not None:
        return EmbeddedDirectory(place, suffix)
    settings = call.settings.directory
    return EmbeddedDirectory(settings.data_directory, suffix or settings.suffix)


def _site_projects(call: Call) -> tuple[str, ...] | None:
    """Return the projects that the account of a projects' server does not see; None: those of last time."""
    if call.arguments.site_project is not None:
        return tuple(str(ProjectName(name)) for name in call.arguments.site_project)
    if call.arguments.data_directory is not None:
        return None
    return call.settings.domains.site_projects or None


def _roles(call: Call) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    """Return the roles of the site's own; None: those of last time."""
    if call.arguments.data_directory is not None:
        return None
    return tuple((role.name, role.may) for role in call.settings.projects.roles)


def _tls(arguments: argparse.Namespace) -> TlsFiles | None:
    files = (arguments.tls_certificate, arguments.tls_key)
    if files == (None, None):
        return None
    if None in files:
        raise UsageError("--tls-certificate and --tls-key belong together")
    authority = arguments.tls_authority
    return TlsFiles(files[0].absolute(), files[1].absolute(), authority and authority.absolute())


def _show(call: Call, directory: EmbeddedDirectory) -> int:
    status, home = directory.status(), directory.home
    state = "answers" if status.answering else "does not answer" if status.pid else "does not run"
    lines = [
        f"{home.data_dir}: {state}" if status.initialised else f"{home.data_dir}: there is no directory yet",
        f"  suffix    {home.suffix}",
        *([f"  pid       {status.pid}"] if status.pid else []),
        *(f"  address   {uri}" for uri in status.uris),
        f"  size      {status.database_bytes / 1e6:.1f} MB",
        f"  settings  {home.example_configuration}",
    ]
    document = {
        "data_directory": home.data_dir,
        "suffix": home.suffix,
        "configuration": home.example_configuration,
        "initialised": status.initialised,
        "pid": status.pid,
        "answering": status.answering,
        "uris": list(status.uris),
        "database_bytes": status.database_bytes,
    }
    call.show(document, lines)
    return ExitStatus.DONE if status.answering else ExitStatus.FOUND
