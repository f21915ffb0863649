"""`enc-admin vendordata`: the service that Nova asks, and what OpenStack has."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus

SUMMARY = "answer OpenStack Nova's questions about new instances; list its servers"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("serve", help="serve until stopped (docs/openstack.md)")
    json_option(actions.add_parser("servers", help="list the servers of all projects, as Nova knows them"))


def run(call: Call) -> int:
    """Do the action."""
    settings = call.settings
    if call.arguments.action == "serve":
        from enc.web.vendordata import serve  # here: Flask, gunicorn and openstacksdk take a while to import

        serve(settings)
        return ExitStatus.DONE
    from enc.cloud.client import Cloud

    cloud = Cloud(settings.openstack)
    try:
        found = sorted(cloud.servers(), key=lambda server: (server.project_id, server.name))
    finally:
        cloud.close()
    documents = [{"id": one.id, "name": one.name, "status": one.status, "project_id": one.project_id} for one in found]
    call.show_rows({"servers": documents}, ("ID", "NAME", "STATUS", "PROJECT"), found, "no servers")
    return ExitStatus.DONE
