"""What a plan imports: most of its processor time is spent before it asks AWS, and an import at the wrong place goes unnoticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e.tool import DEMO
from tests.processes import GUARD

if TYPE_CHECKING:
    from tests.e2e.tool import Tool

ROOT: Final = Path(__file__).parent.parent.parent
MOST: Final = 320
"""Modules of this program, half a millisecond each; 319 when this was written. Where more are needed, `python -m tests.bench start` tells
what they take."""
ELSEWHERE: Final = frozenset({"adoption", "export", "fleet", "verification"})
"""Rooms that have no part in a plan."""
UNWANTED: Final = frozenset(
    {
        "boto3", "cryptography", "dns", "httpx", "moto", "prometheus_client", "rich", "ruamel", "s3transfer",
        "shtab", "tenacity", "websockets", "zoneinfo",
    }
)  # fmt: skip
_SAY: Final = """
import json, sys
from alb_reconcile.cli.main import main
code = main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_a_plan_without_changes_imports_what_it_needs(sandbox: Tool) -> None:
    sandbox.run("apply", DEMO, "--yes")
    done = subprocess.run(
        [sys.executable, "-c", _SAY, "plan", DEMO, *sandbox.options],
        cwd=sandbox.folder, env={**sandbox.environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=GUARD, check=True,
    )  # fmt: skip
    assert "No changes" in done.stdout
    modules = [name.split(".") for name in json.loads(done.stderr.splitlines()[-1])]
    own = [name for name in modules if name[0] == "alb_reconcile"]
    assert not UNWANTED & {name[0] for name in modules}
    assert not ELSEWHERE & {name[1] for name in own if name[1:]}
    assert {"kinds", "engine", "journal"} <= {name[1] for name in own if name[1:]}
    assert len(own) <= MOST
