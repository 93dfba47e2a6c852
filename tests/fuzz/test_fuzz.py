"""Whatever is written into a file that is read, it is read or refused: soon, in words, and nothing else is touched.

`SOAK=n FUZZ_SECONDS=3600 pytest tests/fuzz` goes on for that long, with other inputs for another n; a failure says the `FUZZ_SEED=` that repeats it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.limits import Memory, guard, waits
from tests.fuzz.mutate import changed
from tests.fuzz.targets import FLEET, TARGETS
from tests.properties.seeds import SOAK, first_seed
from tests.spec.worst import floor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

FOUND = "stack: shop\nregion: us-east-1\nload_balancers: {public: {listeners: {http: {protocol: HTTP, port: 80}}, security_groups: %s}}\n"
SOURCE = "stack: shop\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\nsecurity_groups: {web: {ingress: [{port: 80, security_group: %s}]}}\n"
LOGIN = (
    "stack: shop\nregion: us-east-1\nload_balancers: {public: {listeners: {https: {protocol: HTTPS, port: 443, default_action: "
    "{authenticate_oidc: {issuer: 'https://i', client_secret: %s}, forward: web}}}}}\n"
)
SECONDS = float(os.environ.get("FUZZ_SECONDS", "300"))
"""Of all targets together."""
COUNT = 4 if SOAK else 2
"""Inputs of a target in each run of the suite."""
CODES = (0, 1, 2, 3, 4, 64)
FLOORS = 20.0
"""Two seconds where `worst.floor` takes a tenth of one."""


def _seeds(name: str) -> Iterator[str]:
    if seed := os.environ.get("FUZZ_SEED"):
        if seed.startswith(f"{name}:"):
            yield seed
        return
    start, end = first_seed(f"fuzz {name}") if SOAK else 0, time.monotonic() + SECONDS / len(TARGETS)
    number = 0
    while time.monotonic() < end if SOAK else number < COUNT:
        yield f"{name}:{start}:{number}"
        number += 1


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_read_or_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    target, memory = TARGETS[name], Memory()
    slowest, tried = (0.0, ""), 0
    for tried, seed in enumerate(_seeds(name), 1):
        rng = Random(seed)
        folder = tmp_path / str(tried)
        folder.mkdir()
        file = folder / target.file
        data = changed(rng, rng.choice(target.seeds()))
        file.write_bytes(data)
        began = time.process_time()
        try:
            with memory.judged(), waits(), guard():
                code = target.read(file)
            told = capsys.readouterr()
            slowest = max(slowest, (time.process_time() - began, seed))
            assert code in CODES
            said = told.out + told.err
            assert all(line.isprintable() for line in said.splitlines() if "\x1b" in line or "\x07" in line)
            if code in (3, 4, 64) and (name, code) not in (
                ("webhook URL", code),
                ("planner", 4),
            ):  # which refuse no file
                assert file.name in said, told
            if name in ("validate", "diff") and told.out:
                json.loads(told.out)
            if name in ("validate", "security", "diff", "iam-policy", "fleet", "policy", "state"):
                assert list(folder.iterdir()) == [file]
                assert file.read_bytes() == data
        except BaseException as error:
            error.add_note(f"FUZZ_SEED='{seed}' repeats it; it began so: {data[:300]!r}")
            raise
        shutil.rmtree(folder)  # an hour makes hundreds of thousands
    assert slowest[0] <= max(FLOORS * floor(), 0.5 if SOAK else 2.0), (
        f"FUZZ_SEED='{slowest[1]}' took {slowest[0]:.1f} s"
    )
    if SOAK:
        print(f"{name}: {tried} inputs, the slowest {slowest[0]:.2f} s ({slowest[1]}), {memory.most:.0f} MiB more")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("validate", FOUND % "[{a: b}]"),
        ("validate", SOURCE % "{a: b}"),
        ("validate", SOURCE % "{tag: {a: []}}"),
        ("validate", LOGIN % "-1"),
        ("fmt", "stack: shop\nregion: us-east-1\ntags: {a? b: c}\n"),
        ("fmt", "subnets: # where\n  a\n\nregion: us-east-1\n"),
        ("fleet", FLEET.decode().replace("results: results", 'results: "\\0"')),
        ("results", '{"operation": "1", "fleet": "shops", "command": "apply", "started": "soon"}'),
        ("results", '{"operation": "1", "fleet": "shops", "command": "apply", "started": ""}'),
        ("message", '{"body": {"a": []}}'),
    ],
)
def test_what_it_found(name: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each was a traceback."""
    file = tmp_path / TARGETS[name].file
    file.write_text(data)
    assert TARGETS[name].read(file) in CODES
    assert "Traceback" not in capsys.readouterr().err
