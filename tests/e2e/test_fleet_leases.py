"""A fleet from several hosts, as processes: one run over a cell at a time, one `fleet apply` at a time, and no older result over a newer one."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.e2e.fleets import BUCKET, OnQueue, make_fleet
from tests.e2e.hosts import Host, s3
from tests.e2e.proxy import in_front_of
from tests.processes import rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Tool

ACCOUNT = "111111111111"
OPERATION = "fleet/many/operation.json"
CELL = f"fleet/many/cells/{ACCOUNT}_us-east-1.json"


def _fleet(sandbox: Tool) -> tuple[OnQueue, tuple[str, ...]]:
    """A fleet, of which one cell is of interest, and how commands are told so."""
    fleet = make_fleet(sandbox, (ACCOUNT,), ("us-east-1",), "")
    return fleet, (str(sandbox.folder / "fleet.yaml"), "--account", ACCOUNT)


def _begins_elsewhere(sandbox: Tool) -> Path:
    """The same fleet, as a host may have it whose file begins with another region."""
    told = json.loads((sandbox.folder / "fleet.yaml").read_text())
    told["accounts"][0]["regions"] = ["eu-west-1", "us-east-1"]
    (sandbox.folder / "other-fleet.yaml").write_text(json.dumps(told))
    return sandbox.folder / "other-fleet.yaml"


def _stored(sandbox: Tool, key: str) -> Any:
    return json.loads(s3(sandbox).get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_a_cell_and_an_apply_belong_to_one_run(proxied: tuple[Proxy, Tool], sandbox: Tool, tmp_path: Path) -> None:
    """What else would change something meanwhile says whose they are, and leaves the records alone. A plan looks."""
    _, named = _fleet(sandbox)
    proxy, between = proxied
    first = Host(tmp_path, "first", between)
    gate = proxy.hold("CreateVpc")
    with (
        in_front_of(sandbox, tmp_path / "other") as (others, of_others),
        first.forked("fleet", "apply", *named, "--yes") as process,
    ):
        second = Host(tmp_path, "second", of_others)
        gate.wait()
        under_way = _stored(sandbox, OPERATION)
        for what, command in (
            (ACCOUNT, ("sync", *named)),
            ("apply", ("apply", *named, "--yes")),
            ("apply", ("resume", named[0], "--yes")),
            ("apply", ("apply", str(_begins_elsewhere(sandbox)), "--account", ACCOUNT, "--yes")),
        ):
            ended = second.run("fleet", *command, expect=5)
            told = " ".join((ended.stdout + ended.stderr).split())
            assert (
                f"fleet-many-{what} (account 123456789012, us-east-1) is held by alb-reconcile fleet apply (user "
                in told
            )
            assert f"process {process.pid}) since 20" in told
            (options,) = re.findall(r"lock break (--.*?leases)", told)
            (shown,) = json.loads(second.run("lock", "show", "--format", "json", *options.split()).stdout)["locks"]
            assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("held", process.pid)
        assert not others.changes
        assert _stored(sandbox, OPERATION) == under_way
        second.run("fleet", "plan", *named, expect=2)
        gate.open()
        rest_of(process)
        assert "1 succeeded; stacks: 1 in sync" in second.run("fleet", "sync", *named).stdout
    assert process.returncode == 0
    kept = _stored(sandbox, OPERATION)
    assert (kept["operation"], kept["status"]) == (under_way["operation"], "succeeded")
    assert [item["command"] for item in _stored(sandbox, CELL)["past"]] == ["apply"]


def test_a_lost_cell_keeps_the_result_of_who_has_it(proxied: tuple[Proxy, Tool], sandbox: Tool, tmp_path: Path) -> None:
    """A run is frozen past its lease's end, while another host takes the cell over, and finishes."""
    fleet, named = _fleet(sandbox)
    fleet.apply()
    fleet.drift()
    proxy, between = proxied
    first = Host(tmp_path, "first", between, quick=True)
    gate = proxy.hold("CreateVpc")
    with (
        in_front_of(sandbox, tmp_path / "other") as (others, of_others),
        first.forked("fleet", "sync", *named) as process,
    ):
        second = Host(tmp_path, "second", of_others)
        gate.wait()
        process.send_signal(signal.SIGSTOP)
        others.age = LEASE + MARGIN - 1
        second.run("fleet", "sync", *named, expect=5)
        others.age = LEASE + MARGIN
        second.run("fleet", "sync", *named)
        later = _stored(sandbox, CELL)
        first.skip(LEASE + MARGIN)
        gate.open()
        process.send_signal(signal.SIGCONT)
        told = rest_of(process)
    assert (process.returncode, "took it over" in told) == (1, True), told
    assert (later["status"], _stored(sandbox, CELL)) == ("succeeded", later)
