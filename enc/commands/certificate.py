"""`enc-admin certificate`: the authorities' certificates and when they expire; this master's revocation list."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from enc.authority import crl_files, gauges
from enc.authority.client import Authority, close_all, open_all
from enc.authority.statuses import CertificateStatus
from enc.commands.call import Call, json_option, verbs
from enc.directory.ldap_store import LdapSource
from enc.instances import listing
from enc.instances.journal import Journal
from enc.programs import prometheus
from enc.programs.documents import moment
from enc.programs.times import iso
from enc.service.survey import project_if_told
from enc.settings import Duration, Settings
from enc.terms.errors import ConfigurationError, ExitStatus, NotFound, ToolkitError, UsageError
from enc.terms.filters import NodeFilter, folded

SUMMARY = "list certificates and when they expire; fetch the revocation list for this master"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `certificate`."""
    verb = verbs(parser)
    listing = verb("list", "list certificates and requests of all authorities", _list)
    listing.add_argument("--ends-within", metavar="TIME", help="only certificates that expire within this time: 30d")
    listing.add_argument("--authority", metavar="NAME", help="only of this authority")
    words = "fetch the revocation list, verify it, and write it where this master reads it"
    fetching = verb("crl", words, _crl)
    words = "write here instead of to authorities.crl_files (may be repeated)"
    fetching.add_argument("--write", dest="files", metavar="FILE", type=Path, action="append", default=[], help=words)
    fetching.add_argument("--authority", metavar="NAME", help="of this authority; default: the first")
    fetching.add_argument("--dry-run", action="store_true", help="fetch and verify, but write nothing")
    for each in (listing, fetching):
        json_option(each)
    counting = verb("metrics", "print the state of certificates and instances for Prometheus", _metrics)
    words = "write to this file instead (for the node exporter's textfile collector)"
    counting.add_argument("--write", dest="file", metavar="FILE", type=Path, help=words)


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _chosen(call: Call) -> tuple[Authority, ...]:
    authorities = open_all(call.settings.authorities)
    if not authorities:
        raise ConfigurationError("names no authority; see docs/instances.md", where="authorities.servers")
    wanted = call.arguments.authority
    chosen = tuple(authority for authority in authorities if wanted in (None, authority.name))
    if not chosen:
        raise NotFound(f"no authority {wanted} (there are: {', '.join(a.name for a in authorities)})")
    return chosen


def _list(call: Call) -> int:
    within = None
    if call.arguments.ends_within is not None:
        try:
            within = Duration.parse(call.arguments.ends_within)
        except ValueError as error:
            raise UsageError(f"--ends-within {call.arguments.ends_within!r}: write {error}") from error
    projects = _projects(call.settings)
    rows: list[tuple[str, CertificateStatus]] = []
    troubles, now = [], time.time()
    authorities = _chosen(call)
    for authority in authorities:
        try:
            held = authority.all()
        except ToolkitError as error:
            troubles.append(str(error))
            continue
        if held.odd:
            call.say(f"{authority.name}: left out {held.odd} whose name is not a certname")
        rows += [(authority.name, one) for one in held.known if within is None or _ends(one, now + within)]
    close_all(authorities)
    rows.sort(key=lambda row: (row[1].ends or 0, row[1].name))
    documents = [
        {
            "certname": one.name,
            "project": projects.get(one.name),
            "authority": name,
            "state": one.state,
            "serial": one.serial,
            "ends": moment(one.ends),
            "fingerprint": one.fingerprint or None,
            "authorized": one.authorized,
        }
        for name, one in rows
    ]
    cells = [
        (one.name, projects.get(one.name) or "-", name, one.state, iso(one.ends) if one.ends else "-")
        for name, one in rows
    ]
    document = {"certificates": documents, "troubles": troubles}
    call.show_rows(document, ("CERTNAME", "PROJECT", "AUTHORITY", "STATE", "ENDS"), cells, "no certificates")
    for trouble in troubles:
        call.say(trouble)
    return ExitStatus.FAILED if troubles else ExitStatus.DONE


def _ends(one: CertificateStatus, until: float) -> bool:
    return one.ends is not None and one.state == "signed" and one.ends <= until


def _projects(settings: Settings) -> dict[str, str | None]:
    node_filter = NodeFilter(settings.nodes.filter)
    with LdapSource(settings) as source:
        return {
            folded(name): project_if_told(record, settings)
            for record in source.all_nodes()
            for name in node_filter.names(record)
        }


def _crl(call: Call) -> int:
    settings = call.settings.authorities
    chosen, *_ = named = _chosen(call)
    close_all(named)
    authority = Authority(settings.for_crl(chosen.server), settings.timeout)
    files = tuple(call.arguments.files) or settings.crl_files
    fetched = crl_files.fetch(authority)
    written = crl_files.write(fetched, files, authority, dry_run=call.arguments.dry_run)
    authority.close()
    document = {
        "dry_run": call.arguments.dry_run,
        "authority": authority.name,
        "lists": [
            {
                "issuer": one.issuer,
                "number": one.number,
                "made": moment(one.made.timestamp()),
                "ends": one.ends and moment(one.ends.timestamp()),
            }
            for one in fetched.lists
        ],
        "files": [{"file": one.file, "changed": one.changed} for one in written],
    }
    lines = [f"{one.issuer}: number {one.number}, ends {_ending(one.ends)}" for one in fetched.lists]
    if not call.arguments.dry_run:
        lines += [f"{one.file}: {'written' if one.changed else 'already up to date'}" for one in written]
    call.show(document, lines)
    if not files:
        call.say("no file is named: give --write FILE, or authorities.crl_files in the configuration")
    if any(one.ends is not None and one.ends < datetime.now(UTC) for one in fetched.lists):
        call.say(f"{authority.name}: its revocation list has expired; agents will not accept it")
    return ExitStatus.DONE


def _ending(ends: datetime | None) -> str:
    return "never" if ends is None else iso(ends.timestamp())


def _metrics(call: Call) -> int:
    settings, held = call.settings, {}
    for authority in open_all(settings.authorities):
        try:
            held[authority.name] = gauges.Held(authority.all().known, _crl_ends(authority))
        except ToolkitError as error:
            call.say(str(error))
            held[authority.name] = gauges.Held(None, None)
        finally:
            authority.close()
    with LdapSource(settings) as source:
        states = [row.told.state for row in listing.rows(source, settings, time.time())]
    text = gauges.text(held, states, len(Journal(settings.instances.journal).read()[0]))
    if call.arguments.file is None:
        print(text, end="")
        return ExitStatus.DONE
    try:
        prometheus.write_file(call.arguments.file.absolute(), text)
    except OSError as error:
        raise ToolkitError(f"cannot be written: {error.strerror}", where=str(call.arguments.file)) from error
    return ExitStatus.DONE


def _crl_ends(authority: Authority) -> float | None:
    ends = [one.ends.timestamp() for one in crl_files.fetch(authority).lists if one.ends is not None]
    return min(ends, default=None)
