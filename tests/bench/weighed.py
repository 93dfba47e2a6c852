"""The tool's command line, which leaves its processor time and peak memory in a file: `python -m tests.bench.weighed FILE …`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from alb_reconcile.cli.main import main
from tests.bench.memory import peak

if __name__ == "__main__":
    code = main(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps({"megabytes": peak(), "seconds": time.process_time()}), encoding="utf-8")
    sys.exit(code)
