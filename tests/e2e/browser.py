"""A headless Chromium, driven by its own protocol: just what a login and a look at a page take."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)


class PageError(Exception):
    """What the browser says that it can't do."""


class Page:
    """One page. Every wait ends when what is waited for is there."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (answer := json.loads(self._socket.recv(timeout=GUARD))).get("id") != number:
            self._events.append(answer)
        if "error" in answer:
            raise PageError(answer["error"]["message"])
        return dict(answer["result"])

    def open(self, url: str) -> None:
        assert not self._call("Page.navigate", url=url).get("errorText")

    def run(self, script: str) -> Any:
        return self._call("Runtime.evaluate", expression=script)["result"].get("value")

    def listen(self) -> None:
        """From now on keep what the page's console says."""
        self._call("Runtime.enable")
        self._call("Log.enable")

    def complaints(self) -> list[str]:
        """What the console has said: errors, warnings, violations of the page's policy."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(item["params"]) for item in self._events if item.get("method") in names]

    def _resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str, width: int, height: int) -> None:
        """Be a screen of that size, in `light` or `dark`."""
        self._resize(width, height)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def evaluate(self, script: str) -> Any:
        """The value that a promise comes to."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + GUARD
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"{condition} never came true, at {self.run('location.href')}"
            time.sleep(0.02)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.run(f"document.readyState === 'complete' && !!({condition})"))
        except PageError:  # it is on its way to another page
            return False

    def look(self, width: int, height: int) -> bytes:
        """A screenshot (PNG)."""
        self._resize(width, height)
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def browsing(folder: Path, *further: str) -> Iterator[Page]:
    """A browser with a profile of its own, which trusts any certificate. `further` are options of Chromium's."""
    assert BROWSER
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--ignore-certificate-errors",
        "--remote-debugging-port=0",
    )
    process = subprocess.Popen(
        [BROWSER, *options, *further, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # Debian's program is a shell script: to kill that leaves the browser running
    )
    with process:
        try:
            assert process.stderr
            found = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)))
            with connect(found[0], max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
