"""Keeps issues in GitHub, by its REST API (docs.github.com/rest/issues, version 2022-11-28)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.content import find_marker
from alb_reconcile.journal.issues.tracker import Issue, RefusedForAllError
from alb_reconcile.journal.webhook import reason_of
from alb_reconcile.model.errors import UsageError
from alb_reconcile.model.host import iso
from alb_reconcile.model.text import printable
from alb_reconcile.model.version import __version__

if TYPE_CHECKING:
    import httpx

LABEL: Final = "alb-reconcile"
TOKENS: Final = ("GITHUB_TOKEN", "GH_TOKEN")
API: Final = "GITHUB_API_URL"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[\w.-]{1,100}", re.ASCII)
_PAGES: Final = 10
"""The most pages, of 100 issues each, that are searched."""


class _Answer(msgspec.Struct, frozen=True):
    number: int
    state: str
    body: str | None = None
    pull_request: Any = None


class GoneError(RefusedForAllError):
    """The repository or issue isn't there, or not any more."""


class GitHub:
    """The issues of one repository. The token is never shown."""

    def __init__(self, repository: str, token: str, base: str) -> None:
        self._repository, self._token, self._base = repository, token, base.rstrip("/")
        self.title = f"{repository} at {urlsplit(base).netloc}"
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> GitHub:
        import httpx

        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": f"alb-reconcile/{__version__}",
        }
        limits = httpx.Timeout(5.0)
        self._client = httpx.AsyncClient(headers=headers, timeout=limits, follow_redirects=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def known(self) -> list[Issue]:
        """The open issues. Where they are too many to search, also those with our label: a user without the permission to set labels
        sets none, and people remove them."""
        found, are_all = await self._list({"state": "open"}, _PAGES)
        labelled = [] if are_all else (await self._list({"state": "open", "labels": LABEL}, _PAGES))[0]
        return list({issue.name: issue for issue in (*found, *labelled)}.values())

    async def others(self) -> list[Issue]:
        """The last closed issues, among which the stack's is opened again."""
        query = {"state": "closed", "labels": LABEL, "sort": "updated", "direction": "desc"}
        return (await self._list(query, 1))[0]

    async def create(self, title: str, body: str) -> str:
        answer = await self._ask("POST", self._issues, json={"title": title, "body": body, "labels": [LABEL]})
        return str(_decode(answer.content, _Answer).number)

    async def change(self, issue: Issue, *, title: str = "", body: str = "", is_open: bool, comment: str = "") -> None:
        place = f"{self._issues}/{issue.name}"
        changed = {"title": title, "body": body, "state": "open" if is_open else "closed"}
        if not is_open:
            changed["state_reason"] = "completed"
        try:
            await self._ask("PATCH", place, json={key: value for key, value in changed.items() if value})
            if comment:
                await self._ask("POST", f"{place}/comments", json={"body": comment})
        except GoneError:
            raise RecordError(f"#{issue.name} was deleted or moved; a later run opens another one") from None

    @property
    def _issues(self) -> str:
        return f"{self._base}/repos/{self._repository}/issues"

    async def _list(self, query: Mapping[str, str], pages: int) -> tuple[list[Issue], bool]:
        """Our issues among so many pages, and whether there are no more pages."""
        url, found = self._issues, list[Issue]()
        params: Mapping[str, str] | None = {**query, "per_page": "100"}
        for _ in range(pages):
            answer = await self._ask("GET", url, params=params)
            for item in _decode(answer.content, list[_Answer]):
                marker = find_marker(item.body or "")
                if marker is not None and item.pull_request is None:
                    body = (item.body or "").replace("\r\n", "\n")
                    found.append(Issue(str(item.number), marker, body, item.state == "open"))
            url, params = str(answer.links.get("next", {}).get("url", "")), None
            if not url.startswith(f"{self._base}/"):  # the token is sent to no other address
                return found, True
        return found, False

    async def _ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        import httpx

        if self._client is None:
            raise AssertionError("it wasn't entered")
        try:
            answer = await self._client.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise RefusedForAllError(f"{reason_of(error)}; look at the network, or correct {API}") from None
        self._refuse(answer)
        return answer

    def _refuse(self, answer: httpx.Response) -> None:
        """Raises the error that an answer without success means."""
        status, headers = answer.status_code, answer.headers
        if 200 <= status < 300:
            return
        message = _message(answer.content)
        limits = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers or "rate limit" in message
        if status in (403, 429) and limits:
            reset = headers.get("x-ratelimit-reset", "")
            until = f" until {iso(int(reset))}" if reset.isdigit() and int(reset) < time.time() + 86_400 else ""
            raise RefusedForAllError(
                f"GitHub's rate limit is used up{until}; run it less often, or use a token of its own"
            )
        told = {
            401: f"GitHub doesn't accept the token (status 401); renew {TOKENS[0]}",
            403: "the token may not write issues there (status 403); give it the permission Issues: write",
            404: f"there is no repository {self._repository} that the token may see (status 404); correct --issue, or the token",
            410: "the repository has no issues (status 410); turn them on in its settings",
        }
        if status in told:
            raise (GoneError if status in (404, 410) else RefusedForAllError)(told[status])
        if 300 <= status < 400:
            raise GoneError(f"{self._repository} has moved (status {status}); give its present name to --issue")
        if status == 422:
            raise RecordError(f"GitHub refuses the issue (status 422): {message}; this is a bug, please report it")
        raise RefusedForAllError(f"GitHub answered with status {status}; look at its status page")


def read_github(place: str, environ: Mapping[str, str]) -> GitHub:
    """The repository OWNER/REPO, with the token and the API's address from the environment. Raises UsageError, without the token in
    its text."""
    if not _REPOSITORY.fullmatch(place):
        raise UsageError(f"--issue: {printable(place)!r} isn't a repository of GitHub's; write github:OWNER/REPO")
    token = next(filter(None, map(environ.get, TOKENS)), "")
    if not token:
        raise UsageError(f"--issue github:{place} needs a token that may write issues; set {TOKENS[0]}")
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(f"the token in {TOKENS[0]} has characters that no token has; correct it")
    base = environ.get(API) or "https://api.github.com"
    try:
        parsed = urlsplit(base)
        is_here = parsed.scheme == "http" and parsed.hostname in ("127.0.0.1", "localhost", "::1")
        valid = bool(parsed.hostname) and (parsed.scheme == "https" or is_here) and parsed.port != 0
    except ValueError:
        valid = False
    if not valid or parsed.username or parsed.password or parsed.query:
        raise UsageError(f"{API} isn't the address of an API; write https://HOST/api/v3")
    return GitHub(place, token, base)


def _decode(content: bytes, expected: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=expected)
    except (ValueError, RecursionError):
        raise RefusedForAllError(f"what answers isn't GitHub's API; correct {API}") from None


class _Problem(msgspec.Struct, frozen=True):
    message: str = ""


def _message(content: bytes) -> str:
    try:
        return printable(msgspec.json.decode(content, type=_Problem).message)[:200] or "it doesn't say why"
    except (ValueError, RecursionError):
        return "it doesn't say why"
