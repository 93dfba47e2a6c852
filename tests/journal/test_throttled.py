"""What is told of the calls that AWS throttled: by `-v`, in the history, in the log of `sync`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.cli.render.progress import render_calls
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.log import configure_logs
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.recorder import recorded
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sync.rounds import Rounds
from alb_reconcile.sync.stack import Ways
from alb_reconcile.sync.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TARGET = DesiredStack("shop", "us-east-1", {})


class Busy:
    """An AWS that throttles the first call of each operation, and denies the next."""

    endpoint = ""
    region = "us-east-1"
    answered = True

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> dict[str, Any]:
        if operation == "get_caller_identity":
            return {"Account": "123456789012"}
        code = "AccessDenied" if operation in self.asked else "Throttling"
        self.asked.add(operation)
        raise AwsError(service, operation, code, "no", "")


def test_the_lines_of_verbose_output() -> None:
    throttled = {
        "run_instances": Throttled(1, "2026-11-24T03:05:30Z"),
        "create_rule": Throttled(2, "2026-11-24T03:05:40Z"),
    }
    assert render_calls({"create_rule": 3}, throttled).splitlines() == [
        "3 API calls: 3 create_rule",
        "AWS throttled create_rule 2 ×, last at 2026-11-24T03:05:40Z; run_instances 1 ×, last at 2026-11-24T03:05:30Z",
    ]
    assert render_calls({"create_rule": 3}, {}).splitlines() == ["3 API calls: 3 create_rule"]


def test_a_run_records_them(tmp_path: Path) -> None:
    async def main() -> None:
        aws = Aws(Busy(), max_workers=1, speed=100)
        settings = read_settings({}, state_dir=str(tmp_path))
        with pytest.raises(AwsError):
            async with recorded(aws, TARGET, "apply", settings, print):
                await aws.call("elbv2", "describe_rules")
        aws.close()

    asyncio.run(main())
    (run,) = read_history(tmp_path, "shop").runs
    assert {name: item.count for name, item in run.throttled.items()} == {"describe_rules": 1}
    assert run.started <= run.throttled["describe_rules"].last <= run.ended


@pytest.mark.parametrize("verbose", [True, False])
def test_sync_logs_them_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verbose: bool) -> None:
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path))
    lines: list[str] = []
    configure_logs(lines.append, terminal=False, mask=Mask(), verbose=verbose)
    settings = read_settings({}, state_dir=str(tmp_path))

    async def main() -> None:
        rounds = Rounds(
            lambda _: Connection(Busy(), 2, speed=100.0),  # type: ignore[arg-type]
            settings, Ways(), parallel=1, lock_timeout=0,
        )  # fmt: skip
        report = await rounds.run(Targets((TARGET,)))
        rounds.close()
        assert report.records

    asyncio.run(main())
    told = [found for line in lines if (found := json.loads(line))["event"] == "throttled"]
    assert bool(told) == verbose
    assert all(item["times"] == 1 and item["region"] == "us-east-1" and item["last"] for item in told)
