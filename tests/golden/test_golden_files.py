"""No expectation outlives its scenario."""

from __future__ import annotations

import re
from pathlib import Path

from tests.golden.scene import EXPECTED, WAITS


def test_each_file_has_its_scenario() -> None:
    names = {
        name
        for file in Path(__file__).parent.glob("test_golden_*.py")
        for name in re.findall(r"^def test_(\w+)\((?:scene|desk): Scene\)", file.read_text(), re.MULTILINE)
    }
    assert names
    assert {file.stem for file in EXPECTED.glob("*.txt")} == names | {WAITS.stem}
