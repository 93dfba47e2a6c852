"""Declares groups of options that several commands share, or that are long."""

import argparse

from alb_reconcile.api.allowances import COUNTED
from alb_reconcile.cli.options.values import Allowance, Detour, decimal, duration, number, stack_name


def add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("specs", nargs="*", metavar="SPEC", help="a spec, or a folder of specs (default stack.yaml)")
    command.add_argument(
        "--format", choices=("text", "json"), default="text", help="text to read, or JSON for programs"
    )
    group = command.add_argument_group("how much is sent")
    amount = group.add_mutually_exclusive_group()
    amount.add_argument(
        "--requests", type=number(1, 100_000), default=100, metavar="N", help="to each forward (default 100)"
    )
    amount.add_argument(
        "--duration", type=duration("1s"), metavar="30s", help="how long to send, instead of --requests"
    )
    group.add_argument(
        "--rate", type=number(1, 1000), default=50, metavar="N", help="requests per second in total (default 50)"
    )
    group.add_argument(
        "--concurrency", type=number(1, 1000), default=10, metavar="N", help="requests in progress at once (default 10)"
    )
    group.add_argument("--timeout", type=duration("1s"), default=10, metavar="10s", help="time limit of one request")
    group = command.add_argument_group("what is sent")
    group.add_argument("--path", default="/", help="where a rule allows any (default /)")
    group.add_argument("--host", metavar="NAME", help="where a rule allows any (default the DNS name)")
    group.add_argument(
        "--source-address", metavar="IP", help="where the load balancer sees you come from, for rules by source address"
    )
    group.add_argument("--http", choices=("1.1", "2", "both"), default="both", help="on HTTPS listeners (default both)")
    group.add_argument(
        "--websocket",
        nargs="?",
        const="/ws",
        metavar="PATH",
        help="try a WebSocket through each forward (default path /ws)",
    )
    group.add_argument(
        "--any-method", action="store_true", help="also POST, PUT and DELETE, where a rule matches nothing else"
    )
    group = command.add_argument_group("what is expected")
    group.add_argument(
        "--attribute",
        metavar="HOW",
        help="how an answer names its target: header:NAME, json:FIELD or none (default json:instance_id, if it is there)",
    )
    group.add_argument("--expect-status", metavar="200-399", help="of forwards (default any below 500)")
    group.add_argument(
        "--tolerance",
        type=decimal(1, 10),
        default=3.0,
        metavar="N",
        help="how many standard deviations a share may be off (default 3)",
    )
    group = command.add_argument_group("how to connect")
    group.add_argument("--ca-file", metavar="FILE", help="authorities to trust instead of the system's")
    group.add_argument("--insecure", action="store_true", help="accept any certificate")
    group.add_argument(
        "--client-certificate",
        metavar="FILE",
        help="shown to listeners that ask for one: a certificate and its key (PEM)",
    )
    group.add_argument(
        "--connect-to",
        action=Detour,
        default={},
        metavar="PORT=HOST:PORT",
        help="where a listener's port is reached, e.g. through a tunnel",
    )


def add_named(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stack", type=stack_name, metavar="NAME", help="a stack whose spec is lost; needs --region")
    command.add_argument("--lease", metavar="s3://BUCKET/PREFIX", help="with --stack: where its lease is")


def add_lock(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lock-timeout",
        type=duration(),
        default=0,
        metavar="5m",
        help="how long to wait while another run holds the stack (default: don't wait)",
    )


def add_record(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what a run records")
    group.add_argument("--state-dir", metavar="DIR", help="where runs are recorded; else ALB_RECONCILE_STATE_DIR")
    group.add_argument(
        "--metrics-file", metavar="FILE", help="a textfile for node-exporter; else ALB_RECONCILE_METRICS_FILE"
    )
    # other users of a machine see command lines, so the URL and the secret aren't read from them
    group.add_argument(
        "--webhook-url-file",
        metavar="FILE",
        help="holds the webhook's URL; else ALB_RECONCILE_WEBHOOK_URL_FILE, ALB_RECONCILE_WEBHOOK_URL",
    )
    group.add_argument(
        "--webhook-secret-file",
        metavar="FILE",
        help="holds the secret that signs messages; else ALB_RECONCILE_WEBHOOK_SECRET_FILE, ALB_RECONCILE_WEBHOOK_SECRET",
    )
    group.add_argument(
        "--webhook-allow",
        metavar="private,http",
        help="allow a receiver in a private network, or without TLS; else ALB_RECONCILE_WEBHOOK_ALLOW",
    )
    group.add_argument(
        "--trace",
        action="store_true",
        help="send OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT (default http://localhost:4318); needs alb-reconcile[otel]",
    )


def add_issue(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--issue",
        metavar="github:OWNER/REPO|DIR",
        help="keep an issue for each stack that requires manual action or fails, and close it when the stack is in sync",
    )


def add_allow(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow", action=Allowance, default={}, metavar="WHAT=N",
        help=f"allow this much in this one run: {', '.join(f'{item}=N' for item in COUNTED)}, or any-time",
    )  # fmt: skip


def add_policy(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--policy", metavar="FILE", help="further limits, with the keys of a spec's policy; the stricter ones apply"
    )
