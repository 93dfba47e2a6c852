"""What needs no AWS: help, usage, and the commands around specs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.golden.scene import Scene

MISTAKES: Final = (
    "", "nonsense", "--nonsense", "aply", "help aply", "help lock brek", "plan s.yaml --formt json", "init --template nonsense", "validate", "schema extra", "init --application --template demo", "init a b", "explain a b", "plan", "plan --format xml s.yaml",
    "plan --allow nonsense=1 s.yaml", "plan --allow delete s.yaml", "plan --set 1=2 s.yaml", "plan --max-workers 0 s.yaml",
    "apply", "apply --timeout soon s.yaml", "apply --lock-timeout x s.yaml", "destroy --stack BAD", "destroy",
    "destroy --stack shop", "destroy --stack shop demo.yaml", "destroy --lease s3://b/p demo.yaml",
    "destroy --stack shop --region us-east-1 --lease nonsense", "sync", "sync --every 1s s.yaml",
    "sync --parallel 0 s.yaml", "sync nothing/*.yaml", "sync home", "status", "status --format xml s.yaml", "verify",
    "verify --requests 0 s.yaml", "verify --requests 1 --duration 1s s.yaml", "verify --connect-to x s.yaml",
    "verify --tolerance 0 s.yaml", "verify --attribute nonsense demo.yaml", "verify --expect-status x demo.yaml",
    "history", "history --limit 0 s.yaml", "history --stack shop demo.yaml", "adopt", "adopt demo.yaml nonsense", "forget",
    "move", "move s.yaml old", "stacks extra", "lock", "lock nonsense", "lock show", "lock show --stack shop",
    "lock break", "lock break --stack BAD", "sandbox", "sandbox nonsense", "sandbox start --port 0",
    "sandbox start --speed 0", "sandbox start --serve x --no-traffic", "plan --sandbox --profile x demo.yaml",
    "plan --out p demo.yaml https.yaml", "fleet", "fleet nonsense", "fleet plan nothing.yaml",
    "sandbox put demo.yaml", "sandbox put nothing.tar.gz s3://artifacts/web.tar.gz", "sandbox put home s3://artifacts/web.tar.gz",
    "sandbox put demo.yaml artifacts/web.tar.gz", "sandbox put demo.yaml s3://artifacts/",
    "sandbox put --region nowhere demo.yaml s3://artifacts/demo.yaml",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="argparse words its help differently in each version of Python"
)
def test_usage(desk: Scene) -> None:
    for words in MISTAKES:
        desk.run(*words.split(" ") if words else ())
    desk.check()


def test_init(desk: Scene) -> None:
    desk.run("init", "-")
    desk.run("init")
    desk.run("validate", "stack.yaml")
    desk.run("init")
    desk.run("init", "/nonexistent/stack.yaml")
    desk.check()


BROKEN: Final = {
    "keys.yaml": """\
stack: shop
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16}}
subnets:
  public-a: {cidr_block: 10.0.1.0/24}
  public-b: {cidr_block: 10.0.1.0/24, availability_zone: b, map_public_ip_on_lunch: true}
route_tables:
  public: {subnets: [public-a, public-c]}
""",
    "values.yaml": """\
stack: Shop
region: nowhere
vpcs: {main: {cidr_block: 10.0.0.0/99, enable_dns_hostnames: perhaps}}
policy: {max_touched: many, windows: [{days: [someday]}]}
sync: {sightings: 0}
lease: nowhere
""",
    "syntax.yaml": "stack: shop\nvpcs: {main: [\n",
    "empty.yaml": "",
    "list.yaml": "- stack\n",
    "warned.yaml": """\
stack: shop
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16}}
subnets: {a: {cidr_block: 10.0.1.0/24, availability_zone: a}}
security_groups: {web: {description: web}}
target_groups: {web: {protocol: HTTP, port: 80, targets: [web]}}
instances:
  web: {image_id: ami-0123456789abcdef0, instance_type: t3.micro, subnets: [a], security_groups: [web]}
""",
}


def test_validate(desk: Scene) -> None:
    desk.run("validate", "demo.yaml", "https.yaml", "existing-vpc.yaml")
    desk.run("validate", "runbook.yaml")
    desk.run("validate", "runbook.yaml", "--set", "EC2_SSH_KEY_NAME=mine")
    desk.run("validate", "demo.yaml", REGION="nowhere")
    for name, text in BROKEN.items():
        desk.write(name, text)
        desk.run("validate", name)
    desk.run("validate", "keys.yaml", "none.yaml", "demo.yaml")
    desk.run("validate", "demo.yaml", "demo.yaml")
    desk.run("validate", "--security", "-v", "private.yaml")
    desk.run("plan", "keys.yaml", "--endpoint-url", "http://127.0.0.1:1")
    desk.check()
