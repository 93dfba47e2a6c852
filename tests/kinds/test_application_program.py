"""The program that installs an application on its instance. tests/e2e runs it against the sandbox."""

from __future__ import annotations

import io
import tarfile
from random import Random
from typing import IO, TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.instance.application import program_1

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]


def archive() -> bytes:
    """An archive with the programs `run` and `bin/serve`."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name in ("run", "bin/serve"):
            item = tarfile.TarInfo(name)
            item.mode = 0o755
            item.size = 2000
            made.addfile(item, io.BytesIO(Random(1).randbytes(item.size)))
    return file.getvalue()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    def run(command: str, content: bytes | None = None, environment: dict[str, str] | None = None) -> None:
        settings: dict[str, Any] = {"artifact": {"bucket": "b", "key": "a.tar.gz"}, "setup": [], "port": 1}
        monkeypatch.setattr(program_1, "SETTINGS", settings | {"command": command, "environment": environment or {}})
        monkeypatch.setattr(program_1, "FOLDER", str(tmp_path))
        monkeypatch.chdir(tmp_path)

        def fetch(file: IO[bytes]) -> None:
            file.write(archive() if content is None else content)
            file.seek(0)

        monkeypatch.setattr(program_1, "fetch", fetch)
        program_1.install()

    return run


@pytest.mark.parametrize(
    "command",
    [
        "./run",
        "exec ./run",
        "cd bin && ./serve",
        "A=1 exec ./run",
        "A='1 2' ./run",
        "(./run)",
        "{ ./run; }",
        "if true; then ./run; fi",
        ". ./run",
        "ulimit -n 4096; exec ./run",
        ">/dev/null ./run",
        "./ru*",
        "PATH=bin:$PATH serve",
        "./run # it's this one",
    ],
)
def test_what_a_shell_can_run_is_installed(install: Install, command: str) -> None:
    install(command)


def test_a_command_is_looked_for_in_the_path_of_its_environment(install: Install) -> None:
    install("serve", environment={"PATH": "bin:/usr/bin:/bin"})


@pytest.mark.parametrize("command", ["./serve --all", "exec gunicorn-x app:app", "A=1 ./serve", "bin/run"])
def test_a_command_that_the_archive_lacks_is_told(install: Install, command: str) -> None:
    with pytest.raises(
        SystemExit, match=r"^s3://b/a\.tar\.gz has no (\./serve|gunicorn-x|bin/run), and setup has made none"
    ):
        install(command)


@pytest.mark.parametrize(
    "content", [b"", b"hello", archive()[:1500], archive()[:40] + b"x" * 60], ids=["empty", "text", "cut", "broken"]
)
def test_what_is_no_archive_is_told_in_one_line(install: Install, content: bytes) -> None:
    with pytest.raises(SystemExit, match=r"^s3://b/a\.tar\.gz can't be unpacked: .+; make it with tar$"):
        install("./run", content)
