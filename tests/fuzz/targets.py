"""What reads what others have written: each is given any bytes, and reads them or refuses them in words."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.output import report
from alb_reconcile.cli.session.telling import _compare
from alb_reconcile.export.foreign_names import names_in_state
from alb_reconcile.fleet.cells import MessageError
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.messages import TASK, rebuild, text_of
from alb_reconcile.fleet.results import CellResult, StackResult
from alb_reconcile.journal.history import history_file
from alb_reconcile.journal.issues.folder import Folder
from alb_reconcile.journal.notify import _DeliveryLog
from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.journal.webhook import make_webhook
from alb_reconcile.locking.host import StackLock
from alb_reconcile.locking.lease_record import LeaseRecord
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.spec.stack import load_policy, parse_stack
from tests.harness import demo, world
from tests.kinds.hand import rich

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.model.plan import Plan

SPECS = Path(__file__).parents[2] / "specs"
FLEET = (
    b"fleet: shops\nresults: results\nwaves: [{name: canary, bake: 10m}, {name: rest, failure_tolerance: 10%}]\n"
    b"defaults: {role: r, external_id: x1, regions: [us-east-1], stacks: [s, {git: 'https://h/x.git', ref: v1}], owner: a, schedule: 1h}\n"
    b"accounts:\n  - {account_id: '111111111111', name: one, wave: canary, variables: {A: b}}\n  - {account_id: '222222222222'}\n"
)
TIME = "2026-11-26T12:00:00Z"
STEP = StepRecord(
    "update:vpc.main@vpc-1", "update", "drift", "failed", 1.5, "vpc-1", "Denied", "no", "r-1", "by hand", ("a: 1 → 2",)
)
RECORD = RunRecord(
    "1", "apply", "shop", "us-east-1", TIME, TIME, "failed", "111111111111", "", 2.0, "host", "ann", "1.0", "shop.yaml", "/srv", "d", "c", {"update": 1},
    (STEP,), {"create_vpc": 1}, requests=("create_vpc r-1",), times={"took": 1.0}, certificates={"certificate.a": TIME}, exit_code=1, error="no",
)  # fmt: skip
RESULT = CellResult(
    "shops", "111111111111", "us-east-1", "canary", "sync", "failed", TIME, TIME, name="one", owner="a", schedule=3600,
    stacks=(StackResult("shop", "shop.yaml", "left", steps=(STEP,)),), error="no", last_success=TIME,
)  # fmt: skip
MESSAGE = {
    "body": json.dumps([["{}"], {}, {}]),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": TASK, "id": "0f-1", "eta": None, "expires": "2026-12-01T00:00:00+00:00"},
    "properties": {"delivery_tag": "tag", "delivery_info": {"exchange": "x", "routing_key": "y"}},
}
HOLDER = {"command": "apply", "user": "ann", "pid": 1, "since": 1.0}
LEASE = {
    "version": 1, "owner": "o", "host": "h", "user": "u", "pid": 1, "command": "apply", "since": TIME, "seconds": 60, "writes": 1, "released": "",
    "broken_by": "",
}  # fmt: skip
ROW = {"index_key": 0, "attributes": {"id": "vpc-1", "arn": "a"}}
MANAGED = {"mode": "managed", "type": "aws_vpc", "name": "main", "module": "module.a", "instances": [ROW]}
STATE = {"version": 4, "resources": [MANAGED]}
ISSUE = b'# t\n\nState: open\n\n<!-- alb-reconcile: {"stack": "shop", "account": "1", "region": "us-east-1", "place": ""} -->\nx\n\n## History\n\n- y\n'


@dataclass(frozen=True)
class Target:
    """`read` is given a file in a folder of its own, and returns an exit code."""

    file: str
    read: Callable[[Path], int]
    seeds: Callable[[], list[bytes]]


def _json(*values: Any) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


def _command(*words: str) -> Callable[[Path], int]:
    return lambda file: main([word.replace("FILE", str(file)) for word in words])


@cache
def _specs() -> list[bytes]:
    return [file.read_bytes() for file in sorted(SPECS.glob("*.yaml"))]


def _history(file: Path) -> int:
    place = history_file(file.parent, RECORD)
    place.parent.mkdir(exist_ok=True)
    file.replace(place)
    words = ["history", "--stack", "shop", "--region", "us-east-1", "--state-dir", str(file.parent)]
    return max(main(words), main([*words, "--format", "json"]))


def _results(file: Path) -> int:
    fleet = file.parent / "fleet.yaml"
    fleet.write_bytes(FLEET)
    for name in ("cells/111111111111_us-east-1.json", "operation.json"):
        place = file.parent / "results" / "shops" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    formats = (("status", "text"), ("status", "json"), ("report", "html"))
    return max(main(["fleet", command, "--format", form, str(fleet)]) for command, form in formats)


def _message(file: Path) -> int:
    (file.parent / "fleet.yaml").write_bytes(FLEET)
    fleet, data = load_fleet(str(file.parent / "fleet.yaml")), file.read_bytes()
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raw = None
    told: list[str] = []
    readers: list[Callable[[], object]] = [lambda: fleet.cell_of(data)]
    if isinstance(raw, dict):
        readers.append(lambda: rebuild(raw, "cells"))
        told.append(text_of(raw))
    for read in readers:
        try:
            read()
        except MessageError as error:
            told.append(str(error))
    assert all(map(str.isprintable, told))
    return 0


def _lease(file: Path) -> int:
    try:
        record = LeaseRecord.parse(file.read_bytes())
    except ValueError as error:
        told = str(error)
    else:
        told = record.render() + record.broken()
    assert told.isprintable()
    return 0


def _holder(file: Path) -> int:
    os.environ["ALB_RECONCILE_LOCK_DIR"] = str(file.parent)
    lock = StackLock("1", "us-east-1", "shop", "")
    file.replace(lock._holder_file)
    found = lock.holder()
    assert found is None or found.render()
    return 0


def _webhook(file: Path) -> int:
    hook = make_webhook("https://h.example.com/x", "0123456789abcdef" * 2)
    log = _DeliveryLog(file, RECORD)
    log.next_message(hook, 1e9)
    log.confirm()
    return 0


def _function(read: Callable[[Path], object]) -> Callable[[Path], int]:
    """What no command gives bytes to alone: its errors are told as a command tells them."""

    def run(file: Path) -> int:
        try:
            read(file)
        except ReconcileError as error:
            report(error, "")
            return int(error.exit_code)
        return 0

    return run


def _url(file: Path) -> None:
    make_webhook(file.read_bytes().decode("utf-8", "replace"), "0123456789abcdef" * 2, private=True, plain=True)


def _planned(file: Path) -> None:
    """Beside a stack of that name, whatever the spec makes of it."""
    stack = parse_stack(file.read_bytes(), str(file), file.parent, {}, None)
    with world() as account:
        account.converge(demo())
        account.plan(stack)


def _saved_plan(file: Path) -> None:
    _compare(str(file), _some_plan())


@cache
def _some_plan() -> Plan:
    with world() as account:
        return account.plan(demo())


def _issues(file: Path) -> int:
    return len(asyncio.run(Folder(file.parent).known())) * 0


TARGETS: Mapping[str, Target] = {
    "validate": Target("x.yaml", _command("validate", "--format", "json", "FILE"), _specs),
    "security": Target("x.yaml", _command("validate", "--security", "FILE"), _specs),
    "diff": Target("x.yaml", _command("diff", "--format", "json", str(SPECS / "demo.yaml"), "FILE"), _specs),
    "fmt": Target("x.yaml", _command("fmt", "FILE"), _specs),
    "iam-policy": Target("x.yaml", _command("iam-policy", "--for", "apply", "FILE"), _specs),
    "planner": Target("x.yaml", _function(_planned), lambda: [yaml.safe_dump(demo()).encode(), yaml.safe_dump(rich()).encode()]),
    "saved plan": Target("plan.json", _function(_saved_plan), lambda: [_some_plan().to_json().encode()]),
    "policy": Target(
        "p.yaml",
        _function(lambda file: load_policy(str(file), {})),
        lambda: [b"max_deletes: 3\nnever_delete: [load_balancer.*]\nchange_windows: [{days: [mon], from: '09:00', to: '17:00', timezone: UTC}]\n"],
    ),
    "fleet": Target("fleet.yaml", _command("fleet", "status", "FILE"), lambda: [FLEET]),
    "results": Target("r.json", _results, lambda: [RESULT.to_json(), *_json({"operation": "1", "fleet": "shops", "command": "apply", "started": TIME})()]),
    "history": Target("h", _history, lambda: [f"{RECORD.to_json()}\n".encode() * 2]),
    "message": Target("m", _message, _json(MESSAGE, {"version": 1, "fleet": "shops", "account": "111111111111", "region": "us-east-1", "wave": "canary"})),
    "lease": Target("l", _lease, _json(LEASE)),
    "holder": Target("l", _holder, _json(HOLDER)),
    "webhook": Target("webhook.json", _webhook, _json({"us-east-1_shop": {"state": "failing", "tried": 1.0, "told": 1.0}})),
    "webhook URL": Target("u", _function(_url), lambda: [b"https://h.example.com:8443/services/x?y=z"]),
    "issues": Target("a.md", _issues, lambda: [ISSUE]),
    "state": Target("s.tfstate", _function(lambda file: names_in_state(str(file))), _json(STATE)),
}  # fmt: skip
