"""The demo's web API, but versions that are named fail their health check: ill_api.py WEB_API VERSION..."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any


def main(file: str, *ill: str) -> None:
    spec = importlib.util.spec_from_file_location("web_api", file)
    assert spec is not None
    assert spec.loader is not None
    api: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)
    healthy = api.Handler.route

    def route(handler: Any) -> None:
        if handler.path == "/health" and os.environ["VERSION"] in ill:
            handler.reply(500, "no database")
        else:
            healthy(handler)

    api.Handler.route = route
    api.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
