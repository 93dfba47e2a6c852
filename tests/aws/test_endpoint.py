"""Addresses of AWS's API that can't be any: one line before anything is done; a proxy that refuses: one line."""

from __future__ import annotations

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


@pytest.mark.slow
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
