"""What docs/upgrade.md says of leases, plans, histories, results and messages: those of the first programs that wrote them, word for word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from alb_reconcile.cli.render.plan import differing_steps
from alb_reconcile.fleet.cells import Cell, Fleet, MessageError
from alb_reconcile.fleet.records import Records, _Folder
from alb_reconcile.fleet.results import CellResult
from alb_reconcile.journal.past import Past, find_past
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.locking.lease_record import LeaseRecord
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Plan

LEASE = b'{"version": 1, "owner": "0123456789abcdef0123456789abcdef", "host": "web-1", "user": "ops", "pid": 4711, "command": "apply", "since": "2026-11-24T03:00:00Z", "seconds": 600, "writes": 3, "released": "", "broken_by": ""}\n'
"""616e0394"""
RUN = '{"version":1,"run":"bfde3d2c5e504eeabda3264a09aeadab","command":"apply","stack":"demo","region":"us-east-1","started":"2026-11-24T06:43:01Z","ended":"2026-11-24T06:43:06Z","result":"in order","account":"123456789012","place":"","seconds":4.5,"host":"web-1","user":"ops","tool":"0.1.0","spec_file":"demo.yaml","spec_digest":"b7ab27b4c137","counts":{"create":1},"steps":[{"key":"create:vpc.main","action":"create","cause":"spec","how":"done","seconds":0.2,"id":"vpc-35295f7a35b34ff77"}],"calls":{"create_vpc":1},"exit_code":0,"code":"","error":"","request_id":""}'
"""0e77bce2"""
RELEASE = '{"version":1,"run":"97423682008442c9a6588338045805f2","command":"release","stack":"demo","region":"us-east-1","started":"2026-12-02T08:47:48Z","ended":"2026-12-02T08:47:48Z","result":"corrected","account":"123456789012","place":"","seconds":0.002,"host":"web-1","user":"ops","tool":"0.1.0","spec_file":"demo.yaml","spec_digest":"dead0e6a0b0e","commit":"","counts":{"update":1},"steps":[{"key":"update:instance.web-2@i-350dbc5787ceef5e0","action":"update","how":"done","id":"i-350dbc5787ceef5e0","changes":["tags"]}],"calls":{"get_caller_identity":1,"describe_vpcs":1,"describe_vpc_attribute":2,"describe_load_balancers":1,"describe_instances":2,"describe_internet_gateways":1,"describe_security_groups":2,"describe_route_tables":2,"describe_subnets":2,"describe_target_groups":1,"describe_tags":3,"describe_listeners":1,"describe_target_health":1,"describe_rules":1,"describe_target_group_attributes":2,"describe_load_balancer_attributes":2,"describe_volumes":1,"get_parameters":1,"delete_tags":8},"throttled":{},"requests":["delete_tags request-id","delete_tags request-id","delete_tags request-id","delete_tags request-id","delete_tags request-id","delete_tags request-id","delete_tags request-id","delete_tags request-id"],"times":{},"not_ready":[],"exit_code":0,"code":"","error":"","request_id":""}'
"""0510ffb7, of the command that is `forget` today"""
CELL = b'{"fleet":"shops","account":"111111111111","region":"eu-central-1","wave":"canary","command":"apply","status":"succeeded","started":"2026-11-27T03:00:00Z","ended":"2026-11-27T03:04:00Z","name":"","owner":"","schedule":null,"seconds":0.0,"stacks":[{"stack":"shop","spec_file":"shop.yaml","result":"corrected","started":"2026-11-27T03:00:00Z","ended":"2026-11-27T03:04:00Z","seconds":240.0,"run":"0123456789abcdef","counts":{"create":1},"steps":[],"notes":[],"throttled":0,"error":"","last_success":""}],"error":"","operation":"","host":"","last_success":"","past":[],"version":1}'
OPERATION = b'{"operation":"20261127T030000Z-1","fleet":"shops","command":"apply","started":"2026-11-27T03:00:00Z","ended":"","status":"stopped","wave":"canary","reason":"","cells":{"111111111111/eu-central-1":"succeeded"},"digests":{"111111111111/eu-central-1":"0a49ce4c9a60"},"version":1}'
MESSAGE = b'{"version":1,"fleet":"shops","account":"111111111111","region":"eu-central-1","wave":"canary"}'
"""5ade0463, as the two before"""
PLAN = '{"version": 1, "stack": "demo", "region": "us-east-1", "account": "123456789012", "summary": {"create": 0, "update": 0, "replace": 0, "delete": 0}, "steps": [], "warnings": [], "estimated_seconds": 0}'
"""2b60718d"""
OURS = Cell("shops", "111111111111", "eu-central-1", "canary", (), Path())
FLEET = Fleet("shops", "fleet.yaml", (OURS,), ())


def later(data: bytes, version: int) -> bytes:
    """What a program to come may write: another field, and perhaps another version."""
    return json.dumps({**json.loads(data), "version": version, "more": 1}).encode()


def test_a_lease_is_read_and_one_of_another_version_is_left_alone() -> None:
    assert LeaseRecord.parse(LEASE).is_of("0123456789abcdef0123456789abcdef")
    with pytest.raises(ValueError, match="it was written by another version of this program"):
        LeaseRecord.parse(later(LEASE, 2))


def test_a_saved_plan_of_another_form_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"the saved plan is in form 1, .* Plan again"):
        differing_steps(PLAN, Plan("demo", "us-east-1", "123456789012", ()).to_json())


def test_a_history_is_read_with_its_former_words_and_with_fields_to_come() -> None:
    run = RunRecord.from_json(RUN)
    assert (run.result, run.is_success, run.steps[0].address) == ("in_sync", True, "vpc.main")
    assert RunRecord.from_json(later(RUN.encode(), 2)) == run


def test_a_run_of_release_is_read_as_one_of_forget() -> None:
    """Of that command only: another one of that name, to come, changes more than tags."""
    run = RunRecord.from_json(RELEASE)
    assert (run.command, find_past([replace(run, spec_digest="")])) == (
        "forget", Past("forgotten", "2026-12-02 08:47:48Z by ops@web-1"),
    )  # fmt: skip
    assert RunRecord.from_json(run.to_json()) == run
    assert RunRecord.from_json(RELEASE.replace('"tags"', '"image_id: a → b"')).command == "release"


def test_a_fleets_results_and_operation_are_read(tmp_path: Path) -> None:
    found = CellResult.from_json(CELL)
    assert (found.key, found.counts) == (OURS.key, {"corrected": 1})
    assert CellResult.from_json(later(CELL, 2)) == replace(found, version=2)
    (tmp_path / "operation.json").write_bytes(OPERATION)
    operation = Records(_Folder(tmp_path)).read_operation()
    assert operation is not None
    assert (operation.status, operation.digests) == ("stopped", {OURS.key: "0a49ce4c9a60"})


def test_a_message_is_read_and_one_of_another_version_is_refused() -> None:
    assert FLEET.cell_of(MESSAGE) == OURS
    with pytest.raises(MessageError, match="has version 2, and this program reads 1; run the same version everywhere"):
        FLEET.cell_of(later(MESSAGE, 2))
