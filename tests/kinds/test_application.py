"""`application:` of an instance group: what becomes of it in a spec, a plan and AWS. tests/sandbox runs one."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.instance.application.user_data import PROGRAM, SETTINGS
from alb_reconcile.model.errors import RefusedError, SpecError
from alb_reconcile.spec.stack import parse_stack
from tests.harness import by_hand, demo, spec_folder
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

BUCKET, PARAMETER = "shop-artifacts", "/shop/database-url"
APPLICATION: dict[str, Any] = {
    "artifact": f"s3://{BUCKET}/shop-${{VERSION}}.tar.gz",
    "command": "python3 app.py --port $PORT",
    "port": 80,
}
FULL: dict[str, Any] = {
    **APPLICATION,
    "generation": 1,
    "user": "shop",
    "environment": {"GREETING": "hello", "WORKERS": 2},
    "secrets": {"DATABASE_URL": f"ssm:{PARAMETER}", "API_KEY": "secretsmanager:shop/api#key"},
    "packages": ["python3.12"],
    "setup": ["python3.12 -m venv .venv"],
    "logs": {"retention_days": 30},
    "stop_timeout": "1m",
    "managed_policies": ["AmazonSSMManagedInstanceCore"],
}


def written(application: dict[str, Any] | None = None, **more: Any) -> Spec:
    """The demo with an application on its two instances."""
    spec = demo()
    entry = spec["instances"]["web"]
    entry.pop("user_data", None)
    entry |= {"application": application or APPLICATION, **more}
    return spec


def given(spec: Spec, **variables: str) -> Any:
    """The spec as a command reads it that was given these variables."""
    return parse_stack(yaml.safe_dump(spec).encode(), "spec.yaml", spec_folder(), variables, None)


def upload(version: str, content: bytes = b"", *, versioned: bool = True) -> str:
    """Put an artifact into the bucket. Returns its version in S3."""
    s3 = by_hand("s3")
    if BUCKET not in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
        if versioned:
            s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    answer = s3.put_object(Bucket=BUCKET, Key=f"shop-{version}.tar.gz", Body=content or version.encode())
    return str(answer.get("VersionId") or answer["ETag"])


def put_secrets(value: str = "postgres://") -> None:
    by_hand("ssm").put_parameter(Name=PARAMETER, Value=value, Type="SecureString", Overwrite=True)
    names = [item["Name"] for item in by_hand("secretsmanager").list_secrets()["SecretList"]]
    if "shop/api" not in names:
        by_hand("secretsmanager").create_secret(Name="shop/api", SecretString='{"key": "k"}')


def user_data_of(hand: Hand, address: str = "instance.web-1") -> dict[str, Any]:
    answer = hand.ec2.describe_instance_attribute(InstanceId=hand[address], Attribute="userData")
    text = base64.b64decode(answer["UserData"]["Value"]).decode()
    assert text.startswith("#cloud-config\n")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def settings_of(hand: Hand, address: str = "instance.web-1") -> dict[str, Any]:
    files = {item["path"]: item for item in user_data_of(hand, address)["write_files"]}
    assert files[PROGRAM]["permissions"] == "0755"
    found: dict[str, Any] = json.loads(files[SETTINGS]["content"])
    return found


def test_a_version_rolls_the_instances_and_the_plan_says_which(hand: Hand) -> None:
    first, second = upload("1.2"), upload("1.3")
    hand.make(given(written(), VERSION="1.2"))
    told = settings_of(hand)
    assert told["artifact"] == {"bucket": BUCKET, "key": "shop-1.2.tar.gz", "version": first}
    plan = hand.world.plan(given(written(), VERSION="1.3"), allow={"replace": 2})
    (change,) = {change for step in plan.steps for change in step.changes if change.path == "user_data"}
    assert change.after.told(change.before) == "VERSION 1.2 → 1.3"
    hand.make(given(written(), VERSION="1.3"), allow={"replace": 2})
    assert settings_of(hand)["artifact"]["version"] == second


def test_a_version_outlives_its_command(hand: Hand) -> None:
    """A command that isn't given it takes the running one, also for a further instance."""
    upload("1.2")
    hand.make(given(written(), VERSION="1.2"))
    assert hand.world.plan(given(written())).is_empty
    hand.make(given(edited(written(), "instances/web/count", 3)))
    assert settings_of(hand, "instance.web-3")["artifact"]["key"] == "shop-1.2.tar.gz"


def test_everything_that_an_application_can_say(hand: Hand) -> None:
    upload("1")
    put_secrets()
    hand.make(given(written(FULL), VERSION="1"))
    told, found = settings_of(hand), user_data_of(hand)
    assert told["environment"] == {"GREETING": "hello", "WORKERS": "2"}
    assert told["secrets"] == FULL["secrets"]
    assert told["setup"] == FULL["setup"]
    assert found["packages"] == FULL["packages"]
    unit = next(item["content"] for item in found["write_files"] if item["path"].endswith("application.service"))
    assert {"User=shop", "Restart=always", "TimeoutStopSec=60", "NoNewPrivileges=yes"} <= set(unit.splitlines())
    groups = by_hand("logs").describe_log_groups(logGroupNamePrefix="/alb-reconcile/demo/web")["logGroups"]
    assert [item["retentionInDays"] for item in groups] == [30]
    (profile,) = by_hand("iam").list_instance_profiles()["InstanceProfiles"]
    role = profile["Roles"][0]["RoleName"]
    document = by_hand("iam").get_role_policy(RoleName=role, PolicyName="inline")["PolicyDocument"]
    allowed = {action: item["Resource"] for item in document["Statement"] for action in item["Action"]}
    assert allowed["s3:GetObject"] == [f"arn:aws:s3:::{BUCKET}/shop-*"]
    assert allowed["ssm:GetParameter"][0].endswith(f":*:parameter{PARAMETER}")
    assert allowed["secretsmanager:GetSecretValue"][0].endswith(":*:secret:shop/api-??????")
    assert allowed["logs:PutLogEvents"][0].endswith(":*:log-group:/alb-reconcile/demo/web:*")
    attached = by_hand("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [item["PolicyName"] for item in attached] == ["AmazonSSMManagedInstanceCore"]


def test_no_secret_and_no_value_of_it_gets_into_user_data_or_tags(hand: Hand) -> None:
    upload("1")
    put_secrets("postgres://shop:hunter22@db/shop")
    hand.make(given(written(FULL), VERSION="1"))
    (row,) = hand.ec2.describe_instances(InstanceIds=[hand["instance.web-1"]])["Reservations"][0]["Instances"]
    assert "hunter22" not in str(user_data_of(hand)) + str(row["Tags"])


def test_a_deployment_does_not_change_the_role(hand: Hand) -> None:
    upload("1.2")
    upload("1.3")
    hand.make(given(written(), VERSION="1.2"))
    result = hand.make(given(written(), VERSION="1.3"), allow={"replace": 2})
    assert not {"put_role_policy", "create_role", "delete_role_policy"} & result.writes.keys()


def test_a_new_version_of_a_secret_is_told_and_rolls_by_apply(hand: Hand) -> None:
    """sync keeps the instances, and says so; a lost instance comes back like the others."""
    upload("1")
    put_secrets()
    spec = given(written(FULL), VERSION="1")
    hand.make(spec)
    put_secrets("another")
    kept = given(written(FULL))
    ending = hand.world.sync(kept)
    assert not ending.outcomes
    assert not ending.selection.left
    plan = hand.world.plan(kept, allow={"replace": 2})
    (change,) = {change for step in plan.steps for change in step.changes if change.path == "user_data"}
    assert change.after.told(change.before) == "DATABASE_URL 1 → 2"
    hand.make(kept, allow={"replace": 2})


def test_sync_says_that_a_secret_has_a_new_version(hand: Hand) -> None:
    upload("1")
    put_secrets()
    hand.make(given(written(FULL), VERSION="1"))
    put_secrets("another")
    notes = " ".join(hand.world.sync(given(written(FULL))).notes)
    assert f"ssm:{PARAMETER} has version 2 now; the instances of web keep version 1, until apply takes" in notes


def test_sync_replaces_for_a_new_secret_if_the_entry_says_so(hand: Hand) -> None:
    upload("1")
    put_secrets()
    spec = written({**FULL, "secrets_update": "replace"})
    hand.make(given(spec, VERSION="1"))
    put_secrets("another")
    assert hand.world.sync(
        given(spec)
    ).selection.left  # a replacement is reported, unless `sync` of the spec says correct


def test_an_artifact_that_was_overwritten_rolls_by_apply_and_not_by_sync(hand: Hand) -> None:
    upload("1", b"first")
    hand.make(given(written(), VERSION="1"))
    upload("1", b"second")
    assert not hand.world.sync(given(written())).selection.left
    assert not hand.world.plan(given(written()), allow={"replace": 2}).is_empty


def test_a_bucket_without_versions_pins_what_the_object_is(hand: Hand) -> None:
    etag = upload("1", versioned=False)
    hand.make(given(written(), VERSION="1"))
    assert settings_of(hand)["artifact"] == {"bucket": BUCKET, "key": "shop-1.tar.gz", "etag": etag}


def test_an_artifact_that_is_not_there_is_refused_with_its_place(hand: Hand) -> None:
    upload("1")
    with pytest.raises(RefusedError) as caught:
        hand.world.plan(given(written(), VERSION="2"))
    assert re.fullmatch(
        rf"spec\.yaml:\d+:\d+: instances\.web\.application\.artifact: there is no s3://{BUCKET}/shop-2\.tar\.gz; upload it "
        rf"\(aws s3 cp FILE .*\), or give a version that is there",
        str(caught.value),
    )


def test_a_bucket_and_a_secret_that_are_not_there_are_refused(hand: Hand) -> None:
    with pytest.raises(RefusedError, match=f"there is no bucket {BUCKET}"):
        hand.world.plan(given(written(), VERSION="1"))
    upload("1")
    with pytest.raises(
        RefusedError, match=rf"application\.secrets\.DATABASE_URL: there is no SSM parameter {PARAMETER}"
    ):
        hand.world.plan(given(written(FULL), VERSION="1"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "latest": ({"artifact": "s3://b12/shop-latest.tar.gz"}, r"application\.artifact: names whatever is latest"),
    "no tar": ({"artifact": "s3://b12/shop-1.zip"}, r"application\.artifact: .* an archive in S3 that tar has made"),
    "port": ({"port": 8080}, r"application\.port: is 8080, and target_groups\.web sends requests to port 80"),
    "shell name": ({"environment": {"A-B": "1"}}, r"environment.*a name that a shell can have"),
    "HOST": ({"environment": {"PORT": "1"}}, r"other than HOST, PORT and HOME"),
    "secret in clear": ({"environment": {"DB_PASSWORD": "x"}}, r"environment\.DB_PASSWORD: looks like a secret"),
    "URL": ({"environment": {"DB": "postgres://a:b@db/x"}}, r"environment\.DB: looks like a secret"),
    "in a command": ({"command": "DB_PASSWORD=hunter22 ./run"}, r"application\.command: looks like a secret"),
    "quoted": ({"setup": ["true", "export API_TOKEN='hunter22'"]}, r"setup\[1\]: looks like a secret"),
    "key": ({"setup": ["export K=AKIAIOSFODNN7EXAMPLE"]}, r"setup\[0\]: looks like a secret"),
    "value as secret": ({"secrets": {"DB": "hunter22"}}, r"secrets\.DB: .*never the secret itself"),
    "twice": ({"environment": {"A": "1"}, "secrets": {"A": "ssm:a"}}, r"secrets\.A: is in environment too"),
    "size": ({"setup": ["x" * 2000] * 4}, r"application: makes 1\d,\d{3} bytes of user data"),
    "root": ({"user": "root"}, r"user: .*other than root"),
    "no command": ({"command": ""}, r"application\.command"),
    "no days": ({"logs": {}}, r"application\.logs\.retention_days: is missing"),
    "control character": ({"artifact": "s3://b12/shop\x7f.tar"}, r"application\.artifact: .* an archive in S3"),
    "no character": ({"artifact": "s3://b12/shop\uffff.tar"}, r"application\.artifact: .* an archive in S3"),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_before_aws_is_asked(change: tuple[dict[str, Any], str]) -> None:
    more, match = change
    with pytest.raises(SpecError, match=match):
        given(written({**APPLICATION, **more}), VERSION="1")


@pytest.mark.parametrize("command", ["run --password=$PASSWORD", 'TOKEN="$(cat token)" run', "WORKERS=2 run", "A= run"])
def test_a_secret_that_a_command_reads_elsewhere_is_none_in_clear(command: str) -> None:
    given(written({**APPLICATION, "command": command, "setup": [command]}), VERSION="1")


@pytest.mark.parametrize("key", APPLICATION)
def test_a_key_that_is_missing_is_named(key: str) -> None:
    application = {name: value for name, value in APPLICATION.items() if name != key}
    with pytest.raises(SpecError, match=rf"instances\.web\.application\.{key}: is missing"):
        given(written(application), VERSION="1")
    with pytest.raises(SpecError, match=r"application\.artifact: is missing"):
        given(written() | {"instances": {"web": {**demo()["instances"]["web"], "application": {}}}})


@pytest.mark.parametrize(
    ("artifact", "variables", "keys"),
    [
        ("${ARTIFACT}", {"ARTIFACT": "s3://b12/shop/1.tar"}, "b12/*"),
        ("s3://${BUCKET}/1.tar", {"BUCKET": "b12/shop"}, "b12/*"),
        ("s3://${BUCKET}/shop/${VERSION}.tar", {"BUCKET": "b12"}, "b12/shop/*"),
        ("${FOLDER:-s3://b12/shop}/1.tar", {}, "b12/*"),
        ("s3://b12/$${A}.tar", {}, "b12/$*"),
    ],
)
def test_the_role_reads_the_artifact_wherever_its_variables_stand(
    artifact: str, variables: dict[str, str], keys: str
) -> None:
    stack = given(written({**APPLICATION, "artifact": artifact}), VERSION="1", **variables)
    (policy,) = [str(item.state) for item in stack.desired.values() if item.address.kind == "instance_profile"]
    assert f'"arn:aws:s3:::{keys}"' in policy


def test_what_is_accepted_fits_with_the_longest_versions_too() -> None:
    """Secrets Manager's versions have 36 characters, and an entity tag of a file in parts may have more."""
    full = {**APPLICATION, "secrets": {f"KEY_{number}": f"secretsmanager:{number}" for number in range(30)}}

    def filled(size: int) -> Any:
        environment = {"A": "x" * (size // 2), "B": "x" * (size - size // 2)}
        return given(written({**full, "environment": environment}), VERSION="1")

    with pytest.raises(SpecError, match=r"makes [\d,]+ bytes") as refused:
        filled(6000)
    (told,) = re.findall(r"makes ([\d,]+) bytes", str(refused.value))
    stack = filled(6000 - int(told.replace(",", "")) + 16384)
    kind: Any = load_kinds()["instance"]
    state: Any = next(item.state for address, item in stack.desired.items() if str(address) == "instance.web-1")
    versions = dict.fromkeys(kind.places_of(state), "0a1b2c3d-0000-4000-8000-000000000000")
    longest = kind.pinned(state, versions | {"artifact": f'etag:"{"0" * 32}-10000"'})
    assert len(longest.user_data.content) <= 16384


@pytest.mark.parametrize("key", ["user_data", "user_data_values"])
def test_user_data_beside_an_application_is_refused(key: str) -> None:
    other: Any = {"A": "1"} if key == "user_data_values" else "#!/bin/sh\n"
    with pytest.raises(SpecError, match=rf"instances\.web\.{key}: application is given too"):
        given(written(None, **{key: other}), VERSION="1")


def test_a_profile_of_its_own_is_left_to_the_entry() -> None:
    stack = given(written(iam_instance_profile="shop-instances"), VERSION="1")
    assert not [address for address in stack.desired if address.kind == "instance_profile"]
    with pytest.raises(SpecError, match=r"managed_policies: is for the profile that application makes"):
        given(written({**APPLICATION, "managed_policies": ["A"]}, iam_instance_profile="shop-instances"), VERSION="1")


def test_secrets_and_tags_share_the_tags_of_an_instance() -> None:
    secrets = {f"S{number}": "ssm:/a" for number in range(30)}
    tags = {f"t{number}": "x" for number in range(9)}
    with pytest.raises(SpecError, match=r"secrets: .* these are 4\d tags; AWS allows 50"):
        given(written({**APPLICATION, "secrets": secrets}, tags=tags), VERSION="1")
    given(written({**APPLICATION, "secrets": secrets}), VERSION="1")


def test_without_a_metadata_service_an_instance_has_no_role() -> None:
    with pytest.raises(SpecError, match=r"metadata_options: switches the metadata service off, from which application"):
        given(written(metadata_options={"http_endpoint": "disabled"}), VERSION="1")


def private(**endpoints: Any) -> Spec:
    """The demo with instances in a subnet without a default route."""
    spec = written(FULL, subnets=["private-a"], count=1)
    spec["subnets"]["private-a"] = {"cidr_block": "10.0.9.0/24", "availability_zone": "a"}
    spec["route_tables"]["private"] = {"subnets": ["private-a"], "routes": []}
    return spec | ({"vpc_endpoints": endpoints} if endpoints else {})


def test_a_private_subnet_needs_a_way_to_what_the_application_asks() -> None:
    with pytest.raises(
        SpecError, match=r"subnet\.private-a has no way to s3, secretsmanager, ssm, logs, which application"
    ):
        given(private(), VERSION="1")
    there = {
        "s3": {"service_name": "s3", "route_tables": ["private"]},
        **{name: {"service_name": name, "subnets": ["private-a"]} for name in ("ssm", "secretsmanager", "logs")},
    }
    with pytest.raises(SpecError, match=r"no way to the internet, which packages of application may need"):
        given(private(**there), VERSION="1")
    spec = private(**there)
    spec["instances"]["web"]["application"] = {
        key: FULL[key] for key in ("artifact", "command", "port", "secrets", "logs")
    }
    given(spec, VERSION="1")


@pytest.mark.parametrize("name", ["${VERSION}/shop.tar.gz", "shop.tar.gz"])
def test_the_role_reads_what_begins_like_the_artifact(name: str) -> None:
    stack = given(
        written({**APPLICATION, "artifact": f"s3://{BUCKET}/apps/{name}"}, iam_instance_profile="own"), VERSION="1"
    )
    (document,) = policy_documents([stack.target()], "instances")
    start = f"arn:aws:s3:::{BUCKET}/apps/" + ("*" if "$" in name else name)
    assert document["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": [start]}
    ]


def test_generation_1_never_changes() -> None:
    """Other bytes for the same entry would replace the instances of everybody who upgrades."""
    stack = given(written(FULL), VERSION="1")
    state: Any = next(item.state for address, item in stack.desired.items() if str(address) == "instance.web-1")
    assert state.user_data.digest == "692b71de3b515af5"
