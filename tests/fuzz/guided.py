"""`python -m tests.fuzz.guided SECONDS [TARGET …]`: inputs that atheris finds by the code that they reach.

`pip install atheris` before; it is built for few systems and Pythons, so the lock file doesn't have it. What is found lies in `build/fuzz/TARGET`, from
where the next run goes on; an input that fails is printed with its file, and ends the run.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

CODES = (0, 1, 2, 3, 4, 64)
LONGEST, LARGEST = 10, 2048
"""Seconds, and MiB, in which one input has to be read: instrumented code is several times as slow."""


def one(name: str, seconds: int) -> None:
    """Try one target until the time is over. atheris ends the process."""
    import atheris  # type: ignore[import-untyped]  # which few have: see above

    with atheris.instrument_imports(include=["alb_reconcile"]):
        from tests.fuzz.limits import Memory, waits
        from tests.fuzz.mutate import changed
        from tests.fuzz.targets import TARGETS

    target, corpus = TARGETS[name], Path("build/fuzz", name.replace(" ", "_"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)

    def read(data: bytes) -> None:
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            file = Path(folder, target.file)
            file.write_bytes(data)
            with Memory().judged(), waits():  # what hangs is stopped by libFuzzer
                assert target.read(file) in CODES

    def mutate(data: bytes, most: int, seed: int) -> Any:
        """As text and as data, and as libFuzzer does."""
        return changed(Random(seed), data)[:most] if seed % 3 else atheris.Mutate(data, most)

    limits = (
        f"-max_total_time={seconds}",
        f"-timeout={LONGEST}",
        "-max_len=65536",
        f"-rss_limit_mb={LARGEST}",
        f"-artifact_prefix={corpus}/",
    )
    atheris.Setup([sys.argv[0], *limits, str(corpus)], read, custom_mutator=mutate)
    atheris.Fuzz()


def main(seconds: int, names: list[str]) -> int:
    """Try each, in a process of its own. Returns how many failed."""
    from tests.fuzz.targets import TARGETS

    names = names or list(TARGETS)
    command = [sys.executable, "-m", "tests.fuzz.guided", "--one", str(max(1, seconds // len(names)))]
    return sum(subprocess.run([*command, name], check=False).returncode != 0 for name in names)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(sys.argv[3], int(sys.argv[2]))
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
