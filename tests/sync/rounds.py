"""Rounds of `sync` over a world in process, with what they leave in a state folder."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.journal.webhook import Webhook
from alb_reconcile.sync.rounds import SyncReport, SyncRounds
from alb_reconcile.sync.stack import Ways
from alb_reconcile.sync.targets import Targets
from tests.harness import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.journal.record import RunRecord
    from tests.harness import Spec
    from tests.kinds.hand import Hand


class World:
    """A connection to the world at hand."""

    sandbox = True

    def __init__(self, aws: Aws, began: str = "") -> None:
        self.aws, self.began = aws, began

    def client(self) -> Aws:
        return self.aws

    async def until_answered(self, work: Any) -> None:
        await work


async def inline(work: Callable[..., Any], *args: Any) -> Any:
    """On the virtual clock nobody waits for a thread."""
    return work(*args)


def go_round(
    hand: Hand, spec: Spec, folder: Path, *, began: str = "", texts: list[str] | None = None
) -> tuple[SyncReport, RunRecord]:
    """A round over one stack, and what the history has of it. `began`: when its sandbox did, if it is known. `texts` gets what the webhook is
    sent to read."""
    told: list[str] = [] if texts is None else texts

    async def send(_: Webhook, __: str, body: bytes) -> None:
        told.append(json.loads(body)["text"])

    async def main(aws: Aws) -> SyncReport:
        settings = read_settings(
            {}, state_dir=str(folder), metrics_file=str(folder / "metrics.prom"), issue=str(folder / "issues")
        )
        settings = replace(settings, webhook=Webhook("https://example.com", b"", every=0))
        ways = Ways(now=lambda: hand.world.today)
        rounds = SyncRounds(lambda _: World(aws, began), settings, ways, parallel=1, lock_timeout=0)  # type: ignore[arg-type,return-value]
        return await rounds.run(Targets((load(spec).target(),)))

    with (
        patch("asyncio.to_thread", inline),
        patch("alb_reconcile.journal.notify.send", send),
        patch.dict("os.environ", ALB_RECONCILE_LOCK_DIR=str(folder / "locks")),
    ):
        report: SyncReport = hand.world._run(main)
    return report, next(run for run in read_history(folder, "demo").runs if run.command == "sync")
