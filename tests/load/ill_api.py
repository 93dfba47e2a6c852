"""The demo's web API, but versions that are named fail their health check: ill_api.py WEB_API VERSION..."""

from __future__ import annotations

import importlib.util
import os
import sys


def main(file: str, *ill: str) -> None:
    spec = importlib.util.spec_from_file_location("web_api", file)
    assert spec is not None
    assert spec.loader is not None
    api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)

    class Handler(api.Handler):
        def route(self) -> None:
            if self.path == "/health" and os.environ["VERSION"] in ill:
                self.reply(500, "no database")
            else:
                super().route()

    api.Handler = Handler
    api.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
