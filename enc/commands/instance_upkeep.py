"""The commands below `enc-admin instance` that timers and services run: collect, reconcile."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from enc.authority.client import close_all, open_all
from enc.commands.call import Call
from enc.directory.edits import DirectoryEditor
from enc.instances import traces
from enc.instances.collector import Collector, Event, account
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.listing import built_document, run_document
from enc.instances.reconcile import Reconciler, carry_out
from enc.instances.repairs import Repair
from enc.programs import log
from enc.programs.machine_trouble import reason
from enc.service.desk import open_desk
from enc.settings import Duration
from enc.systemd import notify
from enc.terms.errors import ExitStatus, ToolkitError, UsageError, one_line

_PAUSE = 10.0
"""Seconds between two looks for new reports."""

Verb = Callable[[str, str, Callable[[Call], int]], argparse.ArgumentParser]


def configure_upkeep(verb: Verb) -> None:
    """Add the commands; `verb` adds one below `instance`."""
    words = "read new reports: record what is built, and each instance's last run"
    collecting = verb("collect", words, _collect)
    collecting.add_argument(
        "--watch", action="store_true", help="keep running until stopped (a systemd unit is shipped)"
    )
    words = "compare LDAP, authorities, answers and journal, and repair differences"
    reconciling = verb("reconcile", words, _reconcile)
    reconciling.add_argument("--dry-run", action="store_true", help="show what would be done and change nothing")
    words = "skip anything changed more recently (default 10m): another machine may be working on it"
    reconciling.add_argument("--older-than", metavar="TIME", default="10m", help=words)
    words = "file with the ids of the cloud's servers, one a line (- for stdin), to find instances without one"
    lists = reconciling.add_mutually_exclusive_group()
    lists.add_argument("--servers", metavar="FILE", help=words)
    lists.add_argument("--openstack", action="store_true", help="ask OpenStack for its servers instead")
    words = "delete instances whose server no longer exists; without it they are only listed"
    reconciling.add_argument("--delete-missing", action="store_true", help=words)
    words = "proceed even if many certificates would be revoked, which otherwise counts as a wrong setting"
    reconciling.add_argument("--many", action="store_true", help=words)


def _collect(call: Call) -> int:
    settings = call.settings
    where = traces.places(settings)
    if where is None:
        raise ToolkitError("puppet is not installed here; set instances.vardir to puppetserver's")
    with DirectoryEditor(account(settings)) as editor:
        collector = Collector(where, settings, editor)
        if not call.arguments.watch:
            events = list(collector.look())
            documents = [
                {
                    "certname": event.certname,
                    "run": run_document(event.run),
                    "built": event.built and built_document(event.built),
                }
                for event in events
            ]
            call.show_lines({"runs": documents}, [_told(event) for event in events], "no new runs")
            return ExitStatus.DONE
        return _watch(call, collector)


def _watch(call: Call, collector: Collector) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    notify.send("READY=1")
    trouble = ""
    while not stop.is_set():
        try:
            for event in collector.look():
                if event.built is not None:
                    log.get("collect").info("%s", _told(event))
            if trouble:
                log.get("collect").info("goes on")
            trouble = ""
        except ToolkitError as error:
            # LDAP or the reports are away: told once, tried again.
            if str(error) != trouble:
                log.get("collect").warning("%s", error)
            trouble = str(error)
        notify.send("WATCHDOG=1")
        stop.wait(_PAUSE)
    notify.send("STOPPING=1")
    return ExitStatus.DONE


def _told(event: Event) -> str:
    built = f", built after {event.built.took} s" if event.built else ""
    return f"{event.certname}: {event.run.status}{' (noop)' if event.run.noop else ''}{built}"


def _reconcile(call: Call) -> int:
    arguments, settings = call.arguments, call.settings
    try:
        patience = Duration.parse(arguments.older_than)
    except ValueError as error:
        raise UsageError(f"--older-than {arguments.older_than!r}: write {error}") from error
    if arguments.delete_missing and arguments.servers is None and not arguments.openstack:
        raise UsageError("--delete-missing needs --servers FILE or --openstack")
    cloud = _of_openstack(call) if arguments.openstack else None
    if arguments.servers is not None:
        cloud = _servers(arguments.servers)
    journal = Journal(settings.instances.journal)
    authorities = open_all(settings.authorities)
    try:
        with open_desk(settings) as desk:
            region = settings.openstack.region if arguments.openstack else None
            remember = not arguments.dry_run
            reconciler = Reconciler(
                settings, desk.editor, authorities, journal, patience, remember=remember, cloud_region=region
            )
            found = reconciler.look(cloud)
            chosen = [r for r in found if r.act != "tell" and (r.act != "delete" or arguments.delete_missing)]
            if not arguments.dry_run:
                if not arguments.many:
                    chosen = reconciler.in_reason(chosen)
                work = Lifecycle(desk, authorities, journal, call.say)
                reconciler.troubles += carry_out(reconciler, chosen, work, cloud)
    finally:
        close_all(authorities)
    document = {
        "dry_run": arguments.dry_run,
        "repairs": [
            {
                "act": repair.act,
                "certname": repair.certname,
                "why": repair.why,
                "authority": repair.authority or None,
                "project": repair.project or None,
            }
            for repair in found
        ],
        "troubles": list(reconciler.troubles),
    }
    call.show(document, [_line(repair) for repair in found] or ["nothing to do"])
    for trouble in reconciler.troubles:
        call.say(trouble)
    if arguments.dry_run:
        call.say("dry run, nothing was done")
    return ExitStatus.FAILED if reconciler.troubles else ExitStatus.DONE


def _servers(name: str) -> frozenset[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--servers {name}: cannot be read: {reason(error)}") from error
    found = frozenset(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise UsageError(f"--servers {name}: names no server, which would mean that all instances are gone")
    return found


def _of_openstack(call: Call) -> frozenset[str]:
    from enc.cloud.client import Cloud  # here: openstacksdk takes a while to import

    cloud = Cloud(call.settings.openstack)
    try:
        found = frozenset(server.id for server in cloud.servers())
    finally:
        cloud.close()
    if not found:
        raise ToolkitError("OpenStack names no server, which would mean that all instances are gone")
    return found


def _line(repair: Repair) -> str:
    where = f" at {repair.authority}" if repair.authority else ""
    return one_line(f"{repair.act:<14}  {repair.certname}{where}: {repair.why}")
