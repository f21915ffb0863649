"""Keystone and Nova as their documentation describes them, as far as we ask: one HTTP server on the loopback.

What is answered are the JSON forms of the Identity API v3 and the Compute API
v2.1 (docs.openstack.org/api-ref); the client is the real openstacksdk. A test
changes the public attributes; `requests` holds what was asked.

`python openstack.py DIRECTORY` serves by itself, inside a whole machine: `clouds.yaml` and `nova`, a token of Nova's,
are in DIRECTORY then. Whoever wants other servers than the first writes their names and ids into its `servers.json`.
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD = "our password"


class OpenStack:
    """The server; `close` it."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        """Token → user name, roles, the id of the user's domain."""
        self.projects: dict[str, str] = {"0123456789abcdef0123456789abcdef": "red"}
        """Id → name."""
        self.domains: dict[str, str | None] = {}
        """Id of a project → id of its domain, where that is another than `default`; None: it is a domain."""
        self.servers: list[dict[str, Any]] = []
        self.servers_file: Path | None = None
        """If it exists: name → id, all servers there are."""
        self.page = 2
        """Servers on one page of Nova's list."""
        self.broken: dict[str, tuple[int, str]] = {}
        """Path's beginning → status and body that is answered instead."""
        self.requests: list[str] = []
        self.password = PASSWORD
        stack = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stack._answer(self)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, user: str, *roles: str, domain: str = "default") -> str:
        """Return a new token of `user`, as Nova would have one."""
        token = f"gAAAA{uuid.uuid4().hex}"
        self.tokens[token] = {"user": user, "roles": roles, "domain": domain}
        return token

    def server(self, name: str, project: str = "0123456789abcdef0123456789abcdef", status: str = "ACTIVE") -> str:
        """Add a server; return its id."""
        self.servers.append(_server(name, str(uuid.uuid4()), project, status))
        return str(self.servers[-1]["id"])

    def clouds_file(self, file: Path) -> Path:
        """Write a clouds.yaml that leads here, with our credentials."""
        auth = {
            "auth_url": f"{self.url}/identity/v3",
            "username": "puppetmaster",
            "password": PASSWORD,
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        file.write_text(json.dumps({"clouds": {"site": {"auth": auth, "region_name": "one"}}}))
        file.chmod(0o600)
        return file

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length) or b"null")
        self.requests.append(f"{request.command} {request.path}")
        url = urlsplit(request.path)
        headers = {"Content-Type": "application/json"}
        broken = next((answer for start, answer in self.broken.items() if url.path.startswith(start)), None)
        if broken is not None and request.command == "GET":
            status, text = broken
        else:
            status, document, more = self._found(request, url.path, parse_qs(url.query), body)
            text, headers = json.dumps(document), headers | more
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(text.encode())

    def _found(
        self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        links = [{"rel": "self", "href": f"{self.url}/identity/v3/"}]
        identity = {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links}
        if path.rstrip("/") == "/identity":
            return 300, {"versions": {"values": [identity]}}, {}
        if path.rstrip("/") == "/identity/v3":
            return 200, {"version": identity}, {}
        if path == "/identity/v3/auth/tokens" and request.command == "POST":
            return self._signed_in(body)
        if request.headers.get("X-Auth-Token") not in self.tokens:
            return 401, {"error": {"code": 401, "title": "Unauthorized", "message": "no"}}, {}
        if path == "/identity/v3/auth/tokens":
            shown = request.headers.get("X-Subject-Token", "")
            if shown not in self.tokens:
                return 404, {"error": {"code": 404, "title": "Not Found", "message": "Failed to validate token"}}, {}
            return 200, self._token_document(shown), {"X-Subject-Token": shown}
        if path.startswith("/identity/v3/projects/"):
            id_ = path.rpartition("/")[2]
            if id_ not in self.projects:
                return 404, {"error": {"code": 404, "title": "Not Found", "message": "no such project"}}, {}
            domain = self.domains.get(id_, "default")
            said = {"domain_id": domain, "is_domain": domain is None, "parent_id": domain}
            return 200, {"project": {"id": id_, "name": self.projects[id_], "enabled": True, **said}}, {}
        if path.rstrip("/") == "/compute/v2.1":
            links = [{"rel": "self", "href": f"{self.url}/compute/v2.1/"}]
            said = {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1", "links": links}
            return 200, {"version": said}, {}
        if path == "/compute/v2.1/servers/detail":
            return self._listed(query)
        return 404, {"error": {"code": 404, "message": path}}, {}

    def _signed_in(self, body: Any) -> tuple[int, Any, dict[str, str]]:
        if body["auth"]["identity"]["password"]["user"]["password"] != self.password:
            return 401, {"error": {"code": 401, "title": "Unauthorized", "message": "wrong password"}}, {}
        token = self.token("puppetmaster", "admin")
        return 201, self._token_document(token), {"X-Subject-Token": token}

    def _token_document(self, token: str) -> dict[str, Any]:
        held = self.tokens[token]
        ends = [("identity", "keystone", "/identity"), ("compute", "nova", "/compute/v2.1")]
        catalog = [
            {
                "type": kind,
                "name": name,
                "id": name,
                "endpoints": [
                    {"id": name, "interface": "public", "region": "one", "region_id": "one", "url": self.url + path}
                ],
            }
            for kind, name, path in ends
        ]
        return {
            "token": {
                "methods": ["password"],
                "user": {
                    "id": f"id-of-{held['user']}",
                    "name": held["user"],
                    "domain": {"id": held["domain"], "name": "D"},
                },
                "roles": [{"id": f"id-of-{role}", "name": role} for role in held["roles"]],
                "project": {"id": "s", "name": "service", "domain": {"id": "default", "name": "D"}},
                "catalog": catalog,
                "issued_at": "2026-01-01T00:00:00.000000Z",
                "expires_at": "2099-01-01T00:00:00.000000Z",
                "audit_ids": ["x"],
            }
        }

    def _listed(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        servers = self.servers
        if self.servers_file is not None and self.servers_file.exists():
            servers = [_server(name, id_) for name, id_ in json.loads(self.servers_file.read_text()).items()]
        wanted = servers if query.get("all_tenants", ["0"])[0].lower() in ("1", "true") else []
        marker = query.get("marker", [""])[0]
        ids = [server["id"] for server in wanted]
        begin = ids.index(marker) + 1 if marker else 0
        page = wanted[begin : begin + self.page]
        document: dict[str, Any] = {"servers": page}
        if begin + self.page < len(wanted):
            address = f"{self.url}/compute/v2.1/servers/detail?all_tenants=True&marker={page[-1]['id']}"
            document["servers_links"] = [{"rel": "next", "href": address}]
        return 200, document, {}


def _server(
    name: str, id_: str, project: str = "0123456789abcdef0123456789abcdef", status: str = "ACTIVE"
) -> dict[str, Any]:
    return {"id": id_, "name": name, "status": status, "tenant_id": project, "metadata": {}}


if __name__ == "__main__":
    stack, place = OpenStack(), Path(sys.argv[1])
    stack.servers_file = place / "servers.json"
    stack.server("web-0")
    stack.clouds_file(place / "clouds.yaml")
    (place / "nova.new").write_text(stack.token("nova", "service"))
    (place / "nova.new").rename(place / "nova")
    threading.Event().wait()
