"""A GitHub on this machine: one repository's issues, as strict as the real one in what is tried here."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
REPOSITORY = "acme/ops"


@dataclass
class FakeGitHub:
    """`refusals` are the next answers, each a status and headers."""

    port: int = 0
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[int, list[str]] = field(default_factory=dict)
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    message: str = "no"
    """Of those."""
    asked: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": f"http://127.0.0.1:{self.port}"}

    def add(self, body: str = "", *, state: str = "open", labels: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        issue = {
            "number": len(self.issues) + 1,
            "title": "t",
            "body": body,
            "state": state,
            "labels": [{"name": name} for name in labels],
            **more,
        }
        self.issues.append(issue)
        return issue

    @property
    def writes(self) -> list[str]:
        return [line for line in self.asked if not line.startswith("GET ")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    github: FakeGitHub


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        github, url = self.server.github, urlsplit(self.path)
        if not self._is_let_in():
            return
        if url.path != f"/repos/{REPOSITORY}/issues":
            self._answer(404, {"message": "Not Found"})
            return
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        wanted, label = query.get("state", "open"), query.get("labels")
        found = [
            item for item in reversed(github.issues)
            if wanted in ("all", item["state"]) and (label is None or label in [each["name"] for each in item["labels"]])
        ]  # fmt: skip
        size, page = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        headers = {}
        if len(found) > size * page:
            following = urlencode({**query, "page": page + 1})
            headers["Link"] = f'<http://127.0.0.1:{github.port}{url.path}?{following}>; rel="next"'
        self._answer(200, found[size * (page - 1) : size * page], headers)

    def do_POST(self) -> None:
        self._write()

    def do_PATCH(self) -> None:
        self._write()

    def _write(self) -> None:
        github, place = self.server.github, urlsplit(self.path).path
        said = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if not self._is_let_in():
            return
        if place == f"/repos/{REPOSITORY}/issues" and self.command == "POST":
            if not said.get("title") or len(said.get("body", "")) > 65_536:
                self._answer(422, {"message": "Validation Failed"})
                return
            labels = tuple(said.get("labels", ()))
            issue = github.add(said["body"], labels=labels)
            issue["title"] = said["title"]
            self._answer(201, issue)
            return
        parts = place.removeprefix(f"/repos/{REPOSITORY}/issues/").split("/")
        issue = next((item for item in github.issues if parts[0] == str(item["number"])), {})
        if not issue:
            self._answer(404, {"message": "Not Found"})
        elif parts[1:] == ["comments"] and self.command == "POST" and said.get("body"):
            github.comments.setdefault(issue["number"], []).append(said["body"])
            self._answer(201, {"id": 1})
        elif len(parts) == 1 and self.command == "PATCH" and said.get("state") in ("open", "closed"):
            issue.update({key: said[key] for key in ("title", "body", "state") if key in said})
            self._answer(200, issue)
        else:
            self._answer(422, {"message": "Validation Failed"})

    def _is_let_in(self) -> bool:
        github = self.server.github
        github.asked.append(f"{self.command} {self.path}")
        if github.refusals:
            status, headers = github.refusals.pop(0)
            self._answer(status, {"message": github.message}, headers)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Bad credentials"})
        elif not self.headers.get("User-Agent") or self.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            self._answer(400, {"message": "headers are missing"})
        else:
            return True
        return False

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def fake_github(**settings: Any) -> Iterator[FakeGitHub]:
    """A repository for the length of a block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    github = server.github = FakeGitHub(port=server.server_port, **settings)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
