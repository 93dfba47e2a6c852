"""Shipped specs in editors: what others' programs say of them by the schema that `alb-reconcile schema` prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.editor_schema import accept_variables
from alb_reconcile.cli.render.schema import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
SHIPPED = [*sorted((ROOT / "specs").rglob("*.yaml")), ROOT / "alb_reconcile/starter.yaml"]
SERVER = shutil.which("yaml-language-server")
LINE = "# yaml-language-server: $schema=stack.schema.json\n"
WRONG = (
    f"{LINE}stack: shop\nregion: ${{REGION}}\ntarget_groups:\n  web:\n    protocol: ${{PROTOCOL}}\n    port: eighty\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with the schema, and a spec that has one mistake."""
    place = tmp_path_factory.mktemp("editors")
    (place / "stack.schema.json").write_text(json.dumps(accept_variables(bundle())), encoding="utf-8")
    (place / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    return place


def check(folder: Path, *files: Path) -> tuple[int, str]:
    """check-jsonschema reads patterns as JavaScript does, and YAML 1.2."""
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(folder / "stack.schema.json")]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_check_jsonschema_accepts_what_is_shipped(folder: Path) -> None:
    assert any("${" in file.read_text(encoding="utf-8") for file in SHIPPED)
    assert check(folder, *SHIPPED) == (0, "ok -- validation done\n")


def test_check_jsonschema_finds_what_is_wrong(folder: Path) -> None:
    code, told = check(folder, folder / "wrong.yaml")
    assert code == 1
    assert "$.target_groups.web.port" in told
    assert "protocol" not in told


class LanguageServer:
    """yaml-language-server, which editors hold specs against, spoken to as they do."""

    def __init__(self, place: str) -> None:
        self.process = subprocess.Popen([place, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin
        assert self.process.stdout
        self.to: IO[bytes] = self.process.stdin
        self.of: IO[bytes] = self.process.stdout
        self.send("initialize", 1, processId=None, rootUri=None, capabilities={})
        self.until(lambda found: found.get("id") == 1)
        self.send("initialized")

    def send(self, method: str, number: int | None = None, **params: Any) -> None:
        self.write({"method": method, "params": params} | ({} if number is None else {"id": number}))

    def write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.to.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.to.flush()

    def messages(self) -> Iterator[dict[str, Any]]:
        length = 0
        for line in self.of:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            elif not line.strip():
                yield json.loads(self.of.read(length))

    def until(self, wanted: Any) -> dict[str, Any]:
        """The first message of that kind; what the server asks meanwhile is answered with nothing."""
        for found in self.messages():
            if wanted(found):
                return found
            if "id" in found and "method" in found:
                self.write({"id": found["id"], "result": [None] * len(found["params"].get("items", ()))})
        pytest.fail("yaml-language-server has ended")

    def diagnose(self, folder: Path, file: Path) -> list[str]:
        """What it marks in a file, as if that were in the folder."""
        uri, text = (folder / file.name).as_uri(), file.read_text(encoding="utf-8")
        text = LINE + re.sub(r"^# yaml-language-server: .*\n", "\n", text)
        self.send("textDocument/didOpen", textDocument={"uri": uri, "languageId": "yaml", "version": 1, "text": text})
        found = self.until(
            lambda item: item.get("method") == "textDocument/publishDiagnostics" and item["params"]["uri"] == uri
        )
        return [f"{item['range']['start']['line'] + 1}: {item['message']}" for item in found["params"]["diagnostics"]]


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    assert SERVER
    server = LanguageServer(SERVER)
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.mark.skipif(
    SERVER is None, reason="yaml-language-server isn't installed (npm install --global yaml-language-server)"
)
def test_the_language_server_accepts_what_is_shipped(folder: Path, server: LanguageServer) -> None:
    assert {file.name: server.diagnose(folder, file) for file in SHIPPED} == {file.name: [] for file in SHIPPED}
    (mistake,) = server.diagnose(folder, folder / "wrong.yaml")
    assert mistake.startswith("8: ")
