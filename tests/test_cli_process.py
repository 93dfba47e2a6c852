"""The command line as a process: readers that leave, other encodings, what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import GUARD

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
VALID = "stack: shop\nregion: eu-west-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
BROKEN = VALID.replace("10.0.0.0/16", "10.0.0.0/40")
TOOL = ("-m", "alb_reconcile")


def ended(*words: str | bytes, **given: Any) -> subprocess.CompletedProcess[bytes]:
    """Python with these words, to its end."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
    return subprocess.run([sys.executable, *words], timeout=GUARD, check=False, cwd=ROOT, **streams)


def test_closed_pipe(tmp_path: Path) -> None:
    """`validate … | head -1`: the exit code is the specs', and nobody is told of pipes."""
    files = [tmp_path / f"{number}.yaml" for number in range(300)]
    for file in files:
        file.write_text(BROKEN, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, *TOOL, "validate", *files],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert "0.yaml:4:22" in process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(GUARD), errors) == (3, "")


@pytest.mark.parametrize("words", [("schema",), ("--help",), ("explain", "instance")], ids=" ".join)
def test_a_reader_that_never_reads(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = ended(*TOOL, *words, stdout=closed)
    assert (done.returncode, done.stderr) == (0, b"")


def test_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "käse.yaml"
    file.write_text(BROKEN.replace("main", "mäin"), encoding="utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for words, code in ((["validate", str(file)], 3), (["explain", "instance.user_data"], 0), (["init", "-"], 0)):
        done = ended(*TOOL, *words, env=plain)
        assert (done.returncode, done.stderr) == (code, b"")
        assert done.stdout.decode("ascii").strip()


@pytest.mark.parametrize("words", [["--help"], ["validate", "specs/demo.yaml"], ["explain", "vpc"]], ids=" ".join)
def test_what_asks_no_aws_doesnt_wait_for_boto3(words: list[str]) -> None:
    code = (
        "import sys; from alb_reconcile.cli.main import main; code = main(sys.argv[1:]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); sys.exit(code)"
    )
    done = ended("-c", code, *words)
    imported = done.stderr.decode()
    assert done.returncode == 0
    assert "'alb_reconcile'" in imported
    unwanted = ("boto3", "botocore", "s3transfer", "urllib3", "moto", "rich", "shtab")
    for name in (*unwanted, "yaml", "jsonschema") if words == ["--help"] else unwanted:
        assert f"'{name}'" not in imported
