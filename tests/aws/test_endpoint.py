"""Addresses of AWS's API that can't be any: one line before anything is done; a proxy that refuses: one line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main
from tests.aws.test_answers import answering

if TYPE_CHECKING:
    from pathlib import Path

SPEC = "stack: shop\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
SENSELESS = (
    "http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:-1", "http://127.0.0.1:http", "http://[::1",
    "http://", "https://:443", "ftp://localhost", "localhost:5000", "http://local host", "http://localhost/\x01",
    "http://localhost\n", "http://localhost\x1b[31m", "http://münchen", "http://localhost?x=1", "http://localhost#x",
)  # fmt: skip
COMMANDS = (
    ("plan", "shop.yaml"), ("apply", "shop.yaml", "--yes"), ("destroy", "shop.yaml", "--yes"), ("sync", "shop.yaml"),
    ("status", "shop.yaml"), ("verify", "shop.yaml"), ("history", "shop.yaml"), ("adopt", "shop.yaml"),
    ("lock", "show", "shop.yaml"), ("stacks", "--region", "us-east-1"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing"), ("AWS_EC2_METADATA_DISABLED", "true"),
        ("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state")), ("AWS_CONFIG_FILE", str(tmp_path / "config")),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / "shop.yaml").write_text(SPEC, encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "url"),
    [
        *((("plan", "shop.yaml"), url) for url in SENSELESS),
        *((words, "http://key:secret@[::1") for words in COMMANDS),
    ],
    ids=ascii,
)
def test_no_command_takes_an_address_that_makes_no_sense(
    words: tuple[str, ...],
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, more in (("--endpoint-url", ("--endpoint-url", url)), ("AWS_ENDPOINT_URL", ())):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "" if more else url)
        assert main([*words, *more]) == 64
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith(f"{name} expects an address such as http://localhost:5000, not ")
        assert told.err.rstrip("\n").isprintable()
        assert "secret" not in told.err
    assert not (tmp_path / "state").exists()


def test_its_password_is_shown_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens, and in settings that botocore refuses."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://key:se@cret@127.0.0.1:{reserved.getsockname()[1]}"
        assert main(["stacks", "--region", "us-east-1", "--endpoint-url", url]) == 1
        told = capsys.readouterr().err
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert main(["apply", "shop.yaml", "--yes", "--endpoint-url", url]) == 1
    for address in ("http://key:se@cret@127.0.0.1:99999", "http://key:se@cret@"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", address)
        assert main(["plan", "shop.yaml"]) == 1
    told += "".join(capsys.readouterr())
    told += "".join(item.read_text() for item in tmp_path.rglob("*") if item.is_file())
    assert f"http://***@{url.rpartition('@')[2]}" in told
    assert "cret" not in told


@pytest.mark.parametrize("url", ["http://aws.invalid", "https://aws.invalid"])
@pytest.mark.parametrize(
    ("proxy", "advice"),
    [
        ("refuses", "proxy"),
        ("http://127.0.0.1:99999", "isn't an address; write http://HOST:PORT"),
        ("http://[::1", "check the network"),
        ("nonsense://x", "check the network"),
    ],
)
def test_a_proxy_that_refuses_or_whose_address_makes_no_sense(
    proxy: str, advice: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(407, b"") as (transport, _):
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, transport.endpoint.replace("key:secret@", "") if proxy == "refuses" else proxy)
        assert main(["plan", "shop.yaml", "--endpoint-url", url]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert advice in told
