"""Values for each deployment: they reach an instance beside its user data, and outlive the command that was given them."""

from __future__ import annotations

import base64
import email
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from alb_reconcile.kinds.instance.user_data import with_values
from alb_reconcile.model.errors import RefusedError, SpecError
from alb_reconcile.spec.stack import load_stack, parse_stack
from tests.harness import demo, spec_folder
from tests.kinds.hand import calls, edited

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

SCRIPT = "#!/bin/sh\nexec web-api $${SHELL}\n"


def written(values: dict[str, Any] | None = None, **more: Any) -> Spec:
    """The demo with two instances that get values."""
    spec = demo()
    entry = spec["instances"]["web"]
    entry.pop("user_data_file", None)
    entry |= {"user_data": SCRIPT, "user_data_values": values or {"VERSION": "${VERSION}"}, **more}
    return spec


def given(spec: Spec, **variables: str) -> Any:
    """The spec as a command reads it that was given these variables."""
    return parse_stack(yaml.safe_dump(spec).encode(), "spec.yaml", spec_folder(), variables, None)


def values_of(hand: Hand, address: str = "instance.web-1") -> dict[str, str]:
    """What the boothook of an instance writes, as a shell reads it."""
    answer = hand.ec2.describe_instance_attribute(InstanceId=hand[address], Attribute="userData")
    hook, *_ = parts_of(base64.b64decode(answer["UserData"]["Value"]))
    return sourced(hook)


def parts_of(user_data: bytes) -> list[str]:
    """The parts as cloud-init finds them (`convert_string` and `fully_decoded_payload` there): it decodes user data before it parses it."""
    archive = email.message_from_string(user_data.decode())
    return [part.get_payload(decode=True).decode() for part in archive.get_payload()]  # type: ignore[union-attr]  # parts are messages


def sourced(hook: str) -> dict[str, str]:
    """The values of the lines that a hook writes."""
    lines = hook.split("<<'END OF VALUES'\n")[1].split("END OF VALUES")[0]
    told = subprocess.run(
        ["env", "-i", "sh", "-c", f"set -a; {lines}\nunset PWD SHLVL _ OLDPWD; env"],
        capture_output=True,
        check=True,
        text=True,
    )
    return dict(
        line.split("=", 1) for line in told.stdout.splitlines() if not line.startswith(("PWD=", "SHLVL=", "_="))
    )


def content_of(stack: Any, address: str = "instance.web-1") -> bytes:
    """The user data that a spec wants."""
    state: Any = next(item.state for known, item in stack.desired.items() if str(known) == address)
    return bytes(state.user_data.content)


def tag_of(hand: Hand, address: str = "instance.web-1") -> str:
    (found,) = hand.ec2.describe_instances(InstanceIds=[hand[address]])["Reservations"][0]["Instances"]
    return next((str(tag["Value"]) for tag in found["Tags"] if tag["Key"] == "alb-reconcile:value:VERSION"), "")


def test_a_value_rolls_the_instances_and_the_scripts_own_variables_stay(hand: Hand) -> None:
    hand.make(given(written(), VERSION="1.2"))
    assert values_of(hand) == {"VERSION": "1.2"}
    answer = hand.ec2.describe_instance_attribute(InstanceId=hand["instance.web-1"], Attribute="userData")
    assert parts_of(base64.b64decode(answer["UserData"]["Value"]))[1] == SCRIPT
    before = hand["instance.web-1"]
    hand.make(given(written(), VERSION="1.3"), allow={"replace": 2})
    assert hand["instance.web-1"] != before
    assert values_of(hand) == {"VERSION": "1.3"}


@pytest.mark.parametrize("value", ["${VERSION}", "${VERSION:-1.0}"], ids=["bare", "default"])
def test_a_value_outlives_its_command(hand: Hand, value: str) -> None:
    """A command that isn't given it takes the running one, never the default, and says so; new instances get it."""
    spec = written({"VERSION": value})
    hand.make(given(spec, VERSION="1.3"))
    plan = hand.world.plan(given(spec))
    assert plan.is_empty
    assert "VERSION is 1.3, as the stack's newest instance has it; --set VERSION=VALUE gives another" in plan.kept
    hand.make(given(edited(spec, "instances/web/count", 3)))
    assert values_of(hand, "instance.web-3") == {"VERSION": "1.3"}
    assert tag_of(hand, "instance.web-3") == "1.3"


ALIASES = """
stack: aliases
region: eu-central-1
secret_variables: [HIDDEN]
tags: &shared {A: "${HIDDEN}"}
security_groups:
  web: {vpc: vpc-12345678, description: web}
instances:
  web: &web
    image_id: ami-12345678
    instance_type: t3.micro
    subnets: [subnet-12345678]
    security_groups: [web]
    user_data_values: &values {VERSION: "${VERSION}"}
  merged: {<<: *web}
  alias: {<<: *web, user_data_values: *values}
"""


def test_a_value_is_kept_for_each_entry_that_an_alias_gives_it() -> None:
    stack = parse_stack(ALIASES.encode(), "spec.yaml", spec_folder(), {"VERSION": "1", "HIDDEN": "a long secret"}, None)
    told: dict[str, Any] = {str(address): item.state for address, item in stack.desired.items()}
    for address in ("instance.web-1", "instance.merged-1", "instance.alias-1"):
        assert told[address].user_data.given == (("VERSION", "1"),)


def test_an_alias_hands_no_secret_to_user_data() -> None:
    text = ALIASES.replace("user_data_values: *values", "user_data_values: *shared")
    with pytest.raises(SpecError, match=r"instances\.alias\.user_data_values\.A: has \$\{HIDDEN\}, which is under"):
        parse_stack(text.encode(), "spec.yaml", spec_folder(), {"VERSION": "1", "HIDDEN": "a long secret"}, None)


def test_an_empty_variable_counts_as_not_given(hand: Hand) -> None:
    hand.make(given(written(), VERSION="1.2"))
    plan = hand.world.plan(given(written(), VERSION=""))
    assert plan.is_empty
    assert [text for text in plan.kept if text.startswith("VERSION is 1.2")]


def test_a_default_counts_while_nothing_was_given_and_what_is_given_then_is_kept(hand: Hand) -> None:
    spec = written({"VERSION": "${VERSION:-1.0}"})
    hand.make(given(spec))
    assert (values_of(hand), tag_of(hand)) == ({"VERSION": "1.0"}, "")
    hand.make(given(spec, VERSION="1.0"))
    assert tag_of(hand) == "1.0", "though no instance had to be replaced"
    assert hand.world.plan(given(written({"VERSION": "${VERSION:-2.0}"}))).is_empty


def half_rolled(hand: Hand) -> None:
    """Three instances, of which the newest has another value."""
    hand.make(given(written(), VERSION="1.2"))
    hand.wait(60)
    hand.make(given(written(count=3), VERSION="1.2"))
    hand.ec2.create_tags(
        Resources=[hand["instance.web-3"]], Tags=[{"Key": "alb-reconcile:value:VERSION", "Value": "1.3"}]
    )


def test_after_half_a_roll_the_newest_instance_says_the_value(hand: Hand) -> None:
    half_rolled(hand)
    assert [text for text in hand.world.plan(given(written(count=3))).kept if text.startswith("VERSION is 1.3")]


def test_an_older_instance_that_was_stopped_and_started_is_not_the_newest(hand: Hand) -> None:
    """Its LaunchTime says the start; the attachment of its primary network interface says the launch (DescribeInstances)."""
    half_rolled(hand)
    hand.ec2.stop_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    hand.ec2.start_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    assert [text for text in hand.world.plan(given(written(count=3))).kept if text.startswith("VERSION is 1.3")]


def test_a_copy_of_an_instance_says_no_value(hand: Hand) -> None:
    """'Launch more like this' copies the tags."""
    hand.make(given(written(), VERSION="1.2"))
    (found,) = hand.ec2.describe_instances(InstanceIds=[hand["instance.web-1"]])["Reservations"][0]["Instances"]
    copied = {tag["Key"]: tag["Value"] for tag in found["Tags"]} | {"alb-reconcile:value:VERSION": "0.9"}
    hand.wait(60)
    hand.ec2.run_instances(
        ImageId=found["ImageId"], InstanceType=found["InstanceType"], SubnetId=found["SubnetId"], MinCount=1, MaxCount=1,
        ClientToken="launch-more-like-this",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": key, "Value": copied[key]} for key in copied]}],
    )  # fmt: skip
    assert [text for text in hand.world.plan(given(written())).kept if text.startswith("VERSION is 1.2")]


@pytest.mark.parametrize("value", ["${VERSION}", "${VERSION:-1.0}"], ids=["bare", "default"])
def test_a_value_outlives_all_instances(hand: Hand, value: str) -> None:
    """`sync` makes them again as they were, though no instance is left to say so."""
    spec = written({"VERSION": value})
    hand.make(given(spec, VERSION="1.3"))
    hand.wait(60)
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"], hand["instance.web-2"]])
    hand.wait(3600)
    ending = hand.world.sync(given(spec))
    assert "VERSION is 1.3, as it was applied last; --set VERSION=VALUE gives another" in ending.notes
    hand.make(given(spec))
    assert values_of(hand) == {"VERSION": "1.3"}


def test_a_value_that_the_spec_no_longer_has_is_forgotten(hand: Hand) -> None:
    spec = written({"VERSION": "${VERSION:-1.0}"})
    hand.make(given(spec, VERSION="1.3"))
    hand.make(given(written({"VERSION": "1.4"})), allow={"replace": 2})
    assert hand.world.plan(given(written({"VERSION": "1.4"}))).is_empty
    hand.make(given(spec), allow={"replace": 2})
    assert values_of(hand) == {"VERSION": "1.0"}


def test_a_variable_without_any_value_is_refused_with_its_place(hand: Hand) -> None:
    with pytest.raises(
        RefusedError,
        match=r"^spec\.yaml:\d+:\d+: instances\.web\.user_data_values\.VERSION: the variable VERSION isn't given",
    ):
        hand.world.plan(given(written()))
    with pytest.raises(
        RefusedError, match=r"the variable VERSION isn't given \(did you mean VERSON\?\), and no instance"
    ):
        hand.world.plan(given(written(), VERSON="1"))
    hand.make(given(written(), VERSION="1"))
    hand.world.apply(given(written()), destroy=True, allow={"delete": 99})


def test_what_a_kept_value_makes_wrong_is_told_with_its_place(hand: Hand) -> None:
    hand.make(given(written(), VERSION="1"))
    spec = edited(written({"VERSION": "${VERSION}"}), "instances/web/user_data", "#!/bin/sh\n" + "#" * 16_050)
    for address in ("instance.web-1", "instance.web-2"):
        hand.ec2.create_tags(
            Resources=[hand[address]], Tags=[{"Key": "alb-reconcile:value:VERSION", "Value": "1" * 250}]
        )
    with pytest.raises(SpecError, match=r"user_data_values: with user_data these make 16,\d+ bytes of user data"):
        hand.world.plan(given(spec))


def test_user_data_without_values_is_as_the_spec_has_it(hand: Hand) -> None:
    spec = written()
    del spec["instances"]["web"]["user_data_values"]
    hand.make(given(spec))
    launched = calls(hand.world, "run_instances")[0]
    assert launched["UserData"] == SCRIPT.encode()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"user_data": "Content-Type: multipart/mixed; boundary=x\n\n"}, r"web\.user_data: is a MIME archive already"),
        ({"user_data": "MIME-Version: 1.0\nContent-Type: text/plain\n"}, r"web\.user_data: is a MIME archive already"),
        ({"user_data": "echo 1"}, r"web\.user_data: begins with neither #! nor #cloud-config"),
        ({"user_data": "#!/bin/sh\n" + "#" * 16_300}, r"user_data_values: with user_data these make 16,\d+ bytes of user data.*16,384"),
        ({"user_data_values": {"DB_PASSWORD": "x"}}, r"user_data_values\.DB_PASSWORD: looks like a secret"),
        ({"user_data_values": {"A": "x\ny"}}, r"user_data_values\.A: has a line break"),
        ({"user_data_values": {"A": 1.3}}, r"user_data_values\.A: is the number 1\.3"),
        ({"user_data_values": {"A": "${DB_PASSWORD}"}}, r"user_data_values\.A: has \$\{DB_PASSWORD\}, which looks like a secret"),
        ({"user_data_values": {"9A": "x"}}, r"user_data_values.*9A"),
        ({"user_data_values": {"A": "${LONG}"}}, r"user_data_values\.A: LONG has 300 characters"),
        ({"user_data_values": {"A": "${BYTES}"}}, r"user_data_values\.A: has a line break or another character"),
        ({"user_data_values": {"A": "${HIDDEN}"}}, r"user_data_values\.A: has \$\{HIDDEN\}, which is under secret_variables"),
    ],
)  # fmt: skip
def test_values_that_an_instance_could_not_have_are_refused(entry: dict[str, Any], told: str) -> None:
    spec = written({"VERSION": "1"}, **entry)
    if "HIDDEN" in str(entry):
        spec["secret_variables"] = ["HIDDEN"]
    with pytest.raises(SpecError, match=rf"^spec\.yaml:\d+:\d+: instances\.{told}" if "web" in told else told):
        given(spec, LONG="x" * 300, BYTES="\udcff", HIDDEN="a long enough secret")


def test_the_tags_that_keep_variables_count_among_those_that_aws_takes() -> None:
    names = [f"V{number}" for number in range(20)]
    spec = written({"ALL": "".join(f"${{{name}}}" for name in names)})
    spec["tags"] = {f"key-{number}": "x" for number in range(20)}
    assert given(spec, **dict.fromkeys(names, "1")).desired
    spec["vpcs"]["main"]["tags"] = {"more": "x"}
    with pytest.raises(
        SpecError, match=r": vpcs\.main\.tags: with the stack's tags and one for each of the 20 variables .* are 41"
    ):
        given(spec, **dict.fromkeys(names, "1"))
    spec["tags"]["more"] = "x"
    with pytest.raises(
        SpecError, match=r":\d: tags: with the stack's tags and one for each of the 20 variables .* are 41"
    ):
        given(spec, **dict.fromkeys(names, "1"))


def test_compressed_user_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boot.gz").write_bytes(b"\x1f\x8b\x08rest")
    spec = written({"VERSION": "1"}, user_data_file="boot.gz")
    del spec["instances"]["web"]["user_data"]
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(SpecError, match=r"web\.user_data_file: is compressed"):
        load_stack(str(tmp_path / "stack.yaml"))


@pytest.mark.parametrize("script", [SCRIPT, "#!/bin/sh\necho 'Grüße 日本'\r\n", "#!/bin/sh\n# ü" + "x" * 2000])
def test_text_that_is_not_ascii_arrives_as_it_is(script: str) -> None:
    hook, found = parts_of(with_values(script.encode(), {"CITY": "Zürich 日本 ✓"}))
    assert sourced(hook) == {"CITY": "Zürich 日本 ✓"}
    assert found == script


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("#!/bin/sh", "text/x-shellscript"),
        ("#cloud-config", "text/cloud-config"),
        ("#cloud-config-archive", "text/cloud-config-archive"),
        ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
        ("#cloud-boothook", "text/cloud-boothook"),
        ("#include https://example.com/", "text/x-include-url"),
        ("#include-once https://example.com/", "text/x-include-once-url"),
        ("#part-handler", "text/part-handler"),
        ("## template: jinja", "text/jinja2"),
    ],
)
def test_the_spec_s_user_data_has_the_type_that_cloud_init_finds_alone(start: str, kind: str) -> None:
    archive = email.message_from_string(with_values(f"{start}\n".encode(), {"A": "1"}).decode())
    assert [part.get_content_type() for part in archive.walk()] == ["multipart/mixed", "text/cloud-boothook", kind]


def test_whole_numbers_and_booleans_are_values() -> None:
    stack = given(written({"PORT": 8080, "DEBUG": True, "QUIET": False}))
    assert sourced(parts_of(content_of(stack))[0]) == {"PORT": "8080", "DEBUG": "true", "QUIET": "false"}


@settings(max_examples=60)
@given_any(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True),
        st.text(st.characters(blacklist_categories=("C", "Z"), whitelist_characters=" "), max_size=30),
        min_size=1,
        max_size=3,
    )
)
def test_any_value_is_what_a_shell_reads(values: dict[str, str]) -> None:
    values = {f"X_{name}": text for name, text in values.items()}
    hook, script = parts_of(with_values(SCRIPT.encode(), values))
    assert sourced(hook) == values
    assert script == SCRIPT
    assert with_values(SCRIPT.encode(), dict(reversed(values.items()))) == with_values(SCRIPT.encode(), values)


@pytest.mark.parametrize("value", ["1.30", "007", "true", "null", "1e3", "~"])
def test_a_variable_reaches_the_instance_as_it_was_given(value: str) -> None:
    stack = given(written({"VERSION": "${VERSION}", "SAME": "v${VERSION}"}), VERSION=value)
    assert sourced(parts_of(content_of(stack))[0]) == {"VERSION": value, "SAME": f"v{value}"}


def test_the_plan_says_which_value_changes_and_sync_which_one_it_took(hand: Hand) -> None:
    hand.make(given(written(), VERSION="1.2"))
    plan = hand.world.plan(given(written(), VERSION="1.3"))
    changes = [change for step in plan.steps for change in step.changes if change.path == "user_data"]
    assert [(str(item.before)[-14:], str(item.after)[-14:]) for item in changes] == [
        (" (VERSION 1.2)", " (VERSION 1.3)")
    ] * 2
    ending = hand.world.sync(given(written()))
    assert "VERSION is 1.2, as the stack's newest instance has it; --set VERSION=VALUE gives another" in ending.notes
