"""A hub on this machine that keeps repositories in memory: as much of the Hugging Face API as fetch and push speak."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


class TinyHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.fetched: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: TinyHub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def _missing(self) -> None:
        self._answer(404, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+|/tree/.+)?", path):
            files = self.server.repositories.get(match[1])
            if files is None:
                return self._missing()
            if (match[2] or "").startswith("/tree/"):
                return self._json(
                    [{"type": "file", "path": name, "size": len(body), "oid": SHA} for name, body in files.items()]
                )
            return self._json({"id": match[1], "sha": SHA, "siblings": [{"rfilename": name} for name in files]})
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            body = self.server.repositories.get(match[1], {}).get(match[2])
            if body is None:
                return self._missing()
            if self.command == "GET":
                self.server.fetched.append(match[2])
            tag = f'"{hashlib.sha1(body).hexdigest()}"'
            return self._answer(200, body, ETag=tag, X_Repo_Commit=SHA)
        return self._missing()

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/repos/create":
            wanted = json.loads(sent)
            name = f"{wanted.get('organization') or 'lab'}/{wanted['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            return self._json({"url": f"{self.server.url}/{name}"})
        if path == "/api/validate-yaml":  # of the card's header
            header = json.loads(sent)["content"]
            return self._json(
                {"errors": [] if header.startswith("---\n") else [{"message": "no header"}], "warnings": []}
            )
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/.+", path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(sent)["files"]
            ]
            return self._json({"files": files})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/.+", path):
            for line in sent.splitlines():
                part = json.loads(line)
                if part["key"] == "file":
                    body = base64.b64decode(part["value"]["content"])
                    self.server.repositories[match[1]][part["value"]["path"]] = body
            return self._json(
                {"success": True, "commitOid": SHA, "commitUrl": f"{self.server.url}/{match[1]}/commit/{SHA}"}
            )
        return self._missing()


@contextmanager
def tiny_hub() -> Iterator[TinyHub]:
    """Run a hub for as long as the with block lasts."""
    hub = TinyHub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
