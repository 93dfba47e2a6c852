"""Records a stack as this program makes it, in an empty sandbox: `python -m tests.upgrade.record NAME SPEC`; see recorded.py.

The spec has no variables and files, and names nothing that the sandbox makes itself, such as a hosted zone.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from botocore import xform_name
from botocore.client import BaseClient

from alb_reconcile.cli.main import main
from alb_reconcile.cli.options.version import checked_out
from tests.harness import READS
from tests.upgrade.recorded import FOLDER, IDS

Call = tuple[str, str, Any, Any]


def watch() -> list[Call]:
    """The calls of all clients from now on: service, operation, parameters, answer."""
    calls: list[Call] = []
    send = BaseClient._make_api_call

    def call(client: Any, operation: str, params: Any) -> Any:
        given = copy.deepcopy(params)  # botocore writes into it
        answer = send(client, operation, params)
        if "DryRun" not in given:
            calls.append((client.meta.service_model.service_name, xform_name(operation), given, answer))
        return answer

    BaseClient._make_api_call = call
    return calls


def shortened(calls: list[Call]) -> Iterator[list[Any]]:
    """What changes something, and the first read that shows an id which a change names."""
    changes = [call for call in calls if not call[1].startswith(READS)]
    needed = {found for _, _, params, _ in changes for _, text in _texts(params) for found in IDS.findall(text)}
    for service, operation, params, answer in calls:
        gave = {path: text for path, text in _texts(answer) if needed.intersection(IDS.findall(text))}
        needed.difference_update(*map(IDS.findall, gave.values()))
        if gave or not operation.startswith(READS):
            yield [service, operation, params, gave]


def _texts(found: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(found, dict | list):
        for key, item in found.items() if isinstance(found, dict) else enumerate(found):
            yield from _texts(item, f"{path}.{key}".lstrip("."))
    elif isinstance(found, str | bytes):
        yield path, found.decode() if isinstance(found, bytes) else found


if __name__ == "__main__":
    name, spec = sys.argv[1:]
    made = watch()
    if code := main(["apply", "--yes", "--sandbox", spec]):
        sys.exit(code)
    lines = (json.dumps(line, default=bytes.decode, separators=(",", ":")) for line in shortened(made))
    head = {"commit": checked_out(Path.cwd()), "spec": yaml.safe_load(Path(spec).read_text(encoding="utf-8"))}
    text = json.dumps(head)[:-1] + ', "calls": [\n' + ",\n".join(lines) + "\n]}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
