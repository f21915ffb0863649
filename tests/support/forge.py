"""A forge as git sees it, and the two servers that a master speaks to, as far as our services ask them.

Only Python's own library and git are needed: the file runs inside a whole machine, too
(`python forge.py DIRECTORY PORT CERTIFICATE KEY` serves what `Forge` and `Puppetserver` do, on one port).
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit


class Forge:
    """Repositories below a directory over HTTPS (without certificate: HTTP), for one user; `close` it.

    It answers as a puppetserver besides, with a revocation list from `crl.pem` in the directory and no certificates.
    """

    def __init__(
        self, directory: Path, certificate: Path | None = None, key: Path | None = None, port: int = 0
    ) -> None:
        self.directory = directory
        self.user, self.password = "mirror", "a token"
        self.answered: list[int] = []
        """The statuses of git's requests."""
        self.flushed: list[str] = []
        forge = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                forge._answer(self)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True)
        self._thread.start()

    def url(self, name: str) -> str:
        """Return a repository's address."""
        return f"{self.scheme}://localhost:{self.port}/{name}"

    def credentials(self, password: str | None = None) -> str:
        """Return the line that git's credential store has for it."""
        return f"{self.scheme}://{self.user}:{quote(password or self.password)}@localhost:{self.port}\n"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        path = urlsplit(request.path)
        if path.path.startswith("/puppet"):
            status, kind, content = self._as_puppetserver(request.command, path.path, path.query)
            _send(request, status, {"Content-Type": kind}, content)
            return
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            self.answered.append(401)
            _send(request, 401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
            return
        self.answered.append(200)
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=body,
            capture_output=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.directory),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": request.command,
                "PATH_INFO": path.path,
                "QUERY_STRING": path.query,
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        said = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        _send(request, int(said.pop("Status", "200").split()[0]), said, content)

    def _as_puppetserver(self, method: str, path: str, query: str) -> tuple[int, str, bytes]:
        if path == "/puppet-admin-api/v1/environment-cache" and method == "DELETE":
            self.flushed.append(query)
            return 204, "text/plain", b""
        if path == "/puppet/v4/catalog" and method == "POST":  # whoever may ask; it has no environments
            return 404, "application/json", b'{"message": "Could not find environment", "issue_kind": "RUNTIME_ERROR"}'
        if path == "/puppet-ca/v1/certificate_statuses/all":
            return 200, "application/json", b"[]"
        if path == "/puppet-ca/v1/certificate_revocation_list/ca":
            return 200, "text/plain", (self.directory / "crl.pem").read_bytes()
        if path == "/puppet-ca/v1/certificate/ca":
            return 200, "text/plain", (self.directory / "ca.pem").read_bytes()
        return 404, "text/plain", b"Not Found"


def _send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes) -> None:
    request.send_response(status)
    # 204 has no body, and a client that keeps the connection would take a length for one.
    lengths = {} if status == 204 else {"Content-Length": str(len(content))}
    for name, value in {**headers, **lengths}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(content)


if __name__ == "__main__":
    Forge(Path(sys.argv[1]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[2]))._thread.join()
