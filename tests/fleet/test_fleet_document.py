"""fleet.yaml: what it means, and a place for every mistake. And messages: what isn't a cell's of this fleet is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alb_reconcile.aws.role import Role
from alb_reconcile.fleet.cells import Fleet, MessageError, Source
from alb_reconcile.fleet.document import FleetFile, load_fleet, parse_fleet
from alb_reconcile.model.errors import SpecError

ACCOUNT = '{account_id: "111111111111", regions: [us-east-1], stacks: [web.yaml]'
FULL = """\
fleet: shops
operation_preferences: {max_concurrent: 3, failure_tolerance: 10%}
waves:
  - {name: canary, bake: 10m, failure_tolerance: 0}
  - {name: rest}
defaults:
  role: ops/alb-reconcile
  external_id: shops-2026
  session_tags: {team: platform}
  regions: [eu-central-1]
  stacks: [stacks/*.yaml]
  variables: {SIZE: 2}
  schedule: 15m
groups:
  china: {regions: [cn-north-1], session_tags: {site: china}, variables: {SIZE: 3, LOGS: true}}
accounts:
  - {account_id: "111111111111", name: first, wave: canary}
  - {account_id: "222222222222", group: china, owner: wei}
  - account_id: "111111111111"
    regions: [us-east-1, us-west-2]
    stacks: [s3://specs/shops/, {git: "https://git.example.com/shops.git", ref: v1, path: specs}]
"""


def _parse(text: str) -> Fleet:
    return parse_fleet(text.encode(), "fleet.yaml", {})


def _problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        _parse(text)
    return str(caught.value).splitlines()


class TestMeaning:
    def test_an_account_says_more_than_its_group_and_that_more_than_the_defaults(self) -> None:
        fleet = _parse(FULL)
        assert [(cell.key, cell.wave, cell.owner) for cell in fleet.cells] == [
            ("111111111111/eu-central-1", "canary", ""),
            ("222222222222/cn-north-1", "rest", "wei"),
            ("111111111111/us-east-1", "rest", ""),
            ("111111111111/us-west-2", "rest", ""),
        ]
        first, china, third, _ = fleet.cells
        arn = "arn:aws:iam::111111111111:role/ops/alb-reconcile"
        assert first.role == Role(arn, "alb-reconcile-shops", "shops-2026", {"team": "platform"})
        assert china.role is not None
        assert china.role.arn == "arn:aws-cn:iam::222222222222:role/ops/alb-reconcile"
        assert china.role.session_tags == {"team": "platform", "site": "china"}
        assert china.variables == {"SIZE": "3", "LOGS": "true", "ACCOUNT_ID": "222222222222", "REGION": "cn-north-1"}
        assert third.sources == (
            Source("", s3="s3://specs/shops"),
            Source("specs", git="https://git.example.com/shops.git", ref="v1"),
        )
        assert (first.schedule, str(first)) == (900, "first/eu-central-1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("accounts: []\n", ["1:1: fleet: is missing; it is the fleet's name, by which its records are kept", "1:11: accounts: has 0 of at least 1; add what is missing"]),
        ("fleet: shops\naccounts: [{account_id: 11111111111}]\n", ["2:25: accounts[0].account_id: is the number 11111111111; give it an account's id: 12 digits in quotes"]),
        (f"fleet: shops\naccounts: [{ACCOUNT}, wave: canary}}]\n", ['2:83: accounts[0].wave: there is no wave "canary"; there are none; add waves']),
        (f"fleet: shops\naccounts:\n- {ACCOUNT}}}\n- {ACCOUNT}}}\n", ["4:4: accounts[1].account_id: 111111111111 has us-east-1 already (in line 3); give one of them other regions, or merge them"]),
        (f"fleet: shops\naccounts: [{ACCOUNT}, role: \"arn:aws:iam::222222222222:role/x\"}}]\n", ["2:13: accounts[0].role: is 111111111111, but its role arn:aws:iam::222222222222:role/x is in account 222222222222; correct one of them, or give the role's name only"]),
        ('fleet: shops\naccounts: [{account_id: "111111111111"}]\n', ["2:13: accounts[0].regions: has no regions; add regions to the account, its group or defaults", "2:13: accounts[0].stacks: has no stacks; add stacks to the account, its group or defaults"]),
        ("fleet: shops\naccounts: [{account_id: \"111111111111\", regions: [us-east-1], stacks: [{git: \"ext::sh -c id\"}]}]\n", ['accounts[0].stacks[0].git: is "ext::sh -c id"; give it a URL that begins with https://, ssh:// or file://']),
        ("fleet: shops\naccounts: [{account_id: \"111111111111\", regions: [us-east-1], stacks: [{git: \"https://x/y\", path: ../../etc}]}]\n", ['accounts[0].stacks[0].path: is "../../etc"; give it a path inside the repository']),
        ("fleet: shops\nresults: s3://B\naccounts: [{account_id: \"111111111111\", regions: [us-east-1], stacks: [s3:/b]}]\n", ['2:1: results: "s3://B" is no place in S3; write s3://BUCKET/PREFIX', '3:63: accounts[0].stacks: "s3:/b" is no place in S3; write s3://BUCKET/PREFIX']),
        (f"fleet: shops\noperation_preferences: {{failure_tolerance: many}}\naccounts: [{ACCOUNT}}}]\n", ['2:44: operation_preferences.failure_tolerance: is "many"; give it a whole number, or a share such as 10%']),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, told: list[str]) -> None:
    found = _problems(text)
    assert len(found) == len(told)
    for line, wanted in zip(found, told, strict=True):
        assert line.startswith("fleet.yaml:")
        assert line.endswith(wanted)


def test_a_file_that_cant_be_read_is_told() -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yaml:1:1: can't be read: No such file or directory; name a fleet's"):
        load_fleet("nowhere.yaml")


class TestMessages:
    def test_a_cell_comes_back(self) -> None:
        fleet = _parse(FULL)
        assert [fleet.cell_of(cell.to_message()) for cell in fleet.cells] == list(fleet.cells)

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"version": 2}, "has version 2, and this program reads 1"),
            ({"fleet": "other"}, 'is for another fleet, "other"'),
            ({"account": "999999999999"}, "names a cell that fleet.yaml doesn't have"),
            ({"wave": "rest"}, "names a cell that fleet.yaml doesn't have"),
            ({"account": 111111111111}, "isn't a cell's: Expected `str`, got `int`"),
            ({"role": "arn:aws:iam::1:role/admin"}, "isn't a cell's: Object contains unknown field `role`"),
            ({"region": "x" * 5000}, "has 5,0.* bytes"),
        ],
    )
    def test_one_that_is_forged_or_of_another_version_is_refused(self, changed: dict[str, object], told: str) -> None:
        fleet = _parse(FULL)
        message = {**json.loads(fleet.cells[0].to_message()), **changed}
        with pytest.raises(MessageError, match=told):
            fleet.cell_of(json.dumps(message))

    @pytest.mark.parametrize("message", [b"", b"null", b"[]", b"\xff\xfe", b"{" * 2000, b'{"version": 1}', "\udcff"])
    def test_what_is_no_message_at_all_is_refused(self, message: bytes | str) -> None:
        with pytest.raises(MessageError, match="isn't a cell's"):
            _parse(FULL).cell_of(message)


def test_a_file_is_parsed_again_where_it_has_changed(tmp_path: Path) -> None:
    """A worker asks for each cell: it sees each change, and a mistake until it is corrected."""
    file = tmp_path / "fleet.yaml"
    read = FleetFile(str(file), {})
    with pytest.raises(SpecError, match="can't be read"):
        read.load()
    file.write_text(FULL)
    first = read.load()
    assert read.load() is first
    file.write_text(FULL.replace("wei", "mei"))
    assert {cell.owner for cell in read.load().cells} == {"", "mei"}
    file.write_text(FULL.replace("wave: canary", "wave: none"))
    for _ in range(2):
        with pytest.raises(SpecError, match="there is no wave"):
            read.load()
    file.write_text(FULL)
    assert read.load() == first
