"""What a process that runs the command line reads before it does anything (`tests.forked`)."""

import gc
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import boto3

import alb_reconcile
import tests.conftest
import tests.forked
import tests.forked_sandbox  # noqa: F401  # AWS's models are read once, and the emulator
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.spec.stack import parse_stack

EXTRA = () if find_spec("celery") else ("fleet.beat", "fleet.broker", "fleet.celery_app", "fleet.worker")
for module in pkgutil.walk_packages(alb_reconcile.__path__, "alb_reconcile."):
    if ".sandbox." not in module.name and not module.name.endswith(("__main__", *EXTRA)):
        importlib.import_module(module.name)
for name in (
    "anyio",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "httpcore",
    "jsonschema",
    "tenacity",
    "zoneinfo",
):  # which they read late
    importlib.import_module(name)
# what each command would work out anew: a parser, schemas, regions, AWS's models
vars(importlib.import_module("alb_reconcile.cli.main"))["make_parser"]()
demo = Path(__file__).parent.parent / "specs" / "demo.yaml"
parse_stack(demo.read_bytes(), str(demo), demo.parent, {}, None)
BotoTransport.regions()
session = boto3.Session("testing", "testing", region_name="us-east-1")
transport = BotoTransport(region="us-east-1", sandbox=True)
transport.prepare()
for service in ("ec2", "elbv2", "sts", "ssm", "s3", "iam", "acm", "route53", "service-quotas"):
    session.client(service)
    transport._session.create_client(service)
gc.collect()
gc.freeze()
