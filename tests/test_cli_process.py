"""The command line as a process: readers that leave, other encodings, what it imports, what a wheel carries."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.at_length import at_length
from tests.processes import GUARD

ROOT = Path(__file__).parent.parent
VALID = "stack: shop\nregion: eu-west-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
BROKEN = VALID.replace("10.0.0.0/16", "10.0.0.0/40")


def write(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


class TestStreams:
    """Readers that leave, terminals of another time, full disks."""

    def test_closed_pipe(self, tmp_path: Path) -> None:
        """`validate … | head -1`: the exit code is the specs', and nobody is told of pipes."""
        files = [write(tmp_path, f"{number}.yaml", BROKEN) for number in range(300)]
        process = subprocess.Popen(
            [sys.executable, "-m", "alb_reconcile", "validate", *files],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert "0.yaml:4:22" in process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(GUARD), errors) == (3, "")

    @pytest.mark.parametrize("words", [("schema",), ("--help",), ("explain", "instance"), ("init", "-")], ids=" ".join)
    def test_a_reader_that_never_reads(self, words: tuple[str, ...]) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as closed:
            command = [sys.executable, "-m", "alb_reconcile", *words]
            done = subprocess.run(
                command,
                stdout=closed,
                stderr=subprocess.PIPE,
                text=True,
                timeout=GUARD,
                check=False,
                cwd=ROOT,
            )
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_full_disk(self) -> None:
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            command = [sys.executable, "-m", "alb_reconcile", "schema"]
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=GUARD, check=False, cwd=ROOT
            )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "can't be written: No space left on device" in done.stderr

    @pytest.mark.parametrize("encoding", ["ascii", *at_length("latin-1", "utf-8")])
    def test_other_encodings(self, tmp_path: Path, encoding: str) -> None:
        file = write(tmp_path, "käse.yaml", BROKEN.replace("main", "mäin"))
        for words, code in (
            (["validate", file], 3),
            (["explain", "instance.user_data"], 0),
            (["init", "-"], 0),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "alb_reconcile", *words],
                capture_output=True, timeout=GUARD, check=False, cwd=ROOT,
                env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (code, b"")
            assert done.stdout.decode(encoding).strip()

    def test_a_file_name_that_is_no_text(self, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/\xff.yaml"
        Path(os.fsdecode(name)).write_text(VALID, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "alb_reconcile", "validate", name],
            capture_output=True, timeout=GUARD, check=False, cwd=ROOT,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"valid, 1 resources" in done.stdout


class TestImports:
    """Nobody waits for boto3 who doesn't ask AWS."""

    @pytest.mark.parametrize(
        "words", [["--help"], ["validate", "specs/demo.yaml"], ["schema"], ["explain", "vpc"]], ids=" ".join
    )
    def test_boto3_is_not_imported(self, words: list[str]) -> None:
        code = (
            "import sys; from alb_reconcile.cli.main import main; code = main(sys.argv[1:]);"
            "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            timeout=GUARD,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0
        imported = done.stderr
        assert "'alb_reconcile'" in imported
        for name in ("boto3", "botocore", "s3transfer", "urllib3", "moto", "rich", "shtab"):
            assert f"'{name}'" not in imported
        if words == ["--help"]:
            assert "'yaml'" not in imported
            assert "'jsonschema'" not in imported


def test_a_wheel_carries_the_schemas_and_the_web_api(tmp_path: Path) -> None:
    """What is installed from a wheel finds its schemas, its starter, and the web API that the sandbox serves."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(build, capture_output=True, text=True, timeout=GUARD, check=False)
    if done.returncode and ("No matching distribution" in done.stderr or "onnection" in done.stderr):
        pytest.skip("the build backend can't be fetched without a network")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import alb_reconcile, sys; from alb_reconcile.cli.main import main; from alb_reconcile.spec import schema;"
        "assert alb_reconcile.__file__.startswith(sys.argv[1]), alb_reconcile.__file__;"
        "assert str(schema.schema_folder()).startswith(sys.argv[1]);"
        "from alb_reconcile.sandbox.traffic.processes import web_api_file; found = web_api_file();"
        "assert str(found).startswith(sys.argv[1]), found;"
        "assert found.read_bytes() == open(sys.argv[2], 'rb').read();"
        "sys.exit(main(['init', 'new.yaml']) or main(['validate', 'new.yaml']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "installed"), str(ROOT / "specs/user-data/web-api.py")],
        capture_output=True, text=True, timeout=GUARD, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "valid, 16 resources" in done.stdout
