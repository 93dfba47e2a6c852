"""Secrets in the wrong place, or in a form that nothing can be done with: what is said about that doesn't repeat them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.aws.secret_params import hide_secrets
from alb_reconcile.cli.main import main
from alb_reconcile.fleet.cells import Cell, Source
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox import client
from tests.canaries.canaries import forms, leaks_in_files, plain_canary

if TYPE_CHECKING:
    from pathlib import Path

C = plain_canary("mistake")
VPC = "stack: small\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"
INSTANCE = """\
  web:
    image_id: ami-12345678
    instance_type: t3.micro
    subnets: [subnet-0a1b2c3d]
    security_groups: [sg-0a1b2c3d]
"""
USER_DATA = f"stack: small\nregion: us-east-1\ninstances:\n{INSTANCE}    %s\n"
LOGIN = """\
stack: small
region: us-east-1
load_balancers:
  public:
    subnets: [subnet-0a1b2c3d, subnet-0a1b2c3e]
    listeners:
      https:
        protocol: HTTPS
        port: 443
        certificate_arn: arn:aws:acm:us-east-1:123456789012:certificate/0a
        default_action:
          authenticate_oidc: {issuer: "https://i", client_id: web, client_secret: %s}
          fixed_response: {status_code: 200}
"""
FLEET = """\
fleet: shops
defaults: {regions: [us-east-1], stacks: [stack.yaml], role: reconciler, schedule: 1h, external_id: %s}
accounts: [{account_id: "111111111111"}]
"""
PEM = f"-----BEGIN PRIVATE KEY-----\\n{C}\\n-----END PRIVATE KEY-----"
CERTIFICATE = "stack: small\nregion: us-east-1\ncertificates: {main: {certificate: {file: x.pem}, private_key: %s}}\n"
PLAN = "plan -vv --endpoint-url http://127.0.0.1:1 stack.yaml"
APPLY = f"apply --yes --trace --metrics-file x.prom {PLAN[5:]}"
SYNC = f"sync {PLAN[9:]}"
QUEUE = "ALB_RECONCILE_FLEET_QUEUE"
HOOK = {"ALB_RECONCILE_WEBHOOK_SECRET": "long enough for a secret", "ALB_RECONCILE_WEBHOOK_ALLOW": "private,http"}


@pytest.mark.parametrize(
    ("command", "spec", "environment"),
    [
        *[
            ("validate stack.yaml", USER_DATA % user_data, {})
            for user_data in (
                f"user_data: [{C}]", f"user_data: {{{C}: 1}}", f"user_data: {C * 1000}", f"userdata: {C}", f'user_data: "{C}',
                f"user_data: |\n      a\n\t{C}", f"user_data: |\n      a\n  export X={C}", f'user_data: "\\q{C}"', f"user_data: {C}\n    user_data_file: x",
                f"user_data: {C}\n    user_data: {C}",
            )
        ],
        *[
            ("validate --format json stack.yaml", LOGIN % secret, {})
            for secret in (C, f"[{C}]", f"{{value: {C}}}", f"{{env: '{C} !'}}", f"{{ssm: '{C} !'}}", f"{{secretsmanager: '{C} !'}}")
        ],
        *[("validate stack.yaml", CERTIFICATE % key, {}) for key in (f'"{PEM}"', f'{{file: "{PEM}"}}')],
        *[("fleet plan", FLEET % secret, {}) for secret in (f"'{C} ;'", f"[{C}]")],
        *[
            ("fleet enqueue", FLEET % "x12", {QUEUE: address})
            for address in (
                f"redis://:{C}@127.0.0.1:bad/0", f"redis://:a/{C}@h:1/0", f"redis://:a?{C}@h:1/0", f"redis://:a#{C}@h:1/0", f"redis://[{C}@h/0",
                f"amqp://u:{C}@h", f"https://u:{C}@sqs.us-east-1.amazonaws.com/1/2",
            )
        ],
        *[
            (APPLY, VPC, {**HOOK, "ALB_RECONCILE_WEBHOOK_URL": url})
            for url in (f"ftp://{C}", C, f"https://h:{C}/", f"https://[{C}", f"https://h/{C}\nx", f"http://127.0.0.1:1/{C}")
        ],
        (APPLY, VPC, {**HOOK, "ALB_RECONCILE_WEBHOOK_URL": "https://h/x", "ALB_RECONCILE_WEBHOOK_SECRET": C[:8]}),
        *[(command, VPC, {"AWS_SESSION_TOKEN": f"{C}\n"}) for command in (PLAN, APPLY, SYNC)],
        (PLAN, VPC, {"AWS_ACCESS_KEY_ID": f"{C}\n"}),
        (PLAN, VPC, {"AWS_SECRET_ACCESS_KEY": f"{C}\n"}),
        *[(PLAN, VPC, {"http_proxy": proxy}) for proxy in (f"http://u:{C}@127.0.0.1:1", f"u:{C}")],
        (PLAN.replace("127", f"u:{C}@127"), VPC, {}),
        (PLAN.replace("127", f"u:a/{C}@127"), VPC, {}),
        *[(APPLY, VPC, {"OTEL_EXPORTER_OTLP_HEADERS": header}) for header in (C, f"x-api-key={C}é")],
        *[(f"{SYNC} --issue github:a/b", VPC, {"GITHUB_TOKEN": token}) for token in (f"{C}\n", f"{C}é")],
    ],
)  # fmt: skip
def test_no_refusal_repeats_a_secret(
    command: str, spec: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    usual = {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
        "ALB_RECONCILE_STATE_DIR": "state", "ALB_RECONCILE_LOCK_DIR": "locks", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    }  # fmt: skip
    for name, value in (usual | environment).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / ("fleet.yaml" if command.startswith("fleet") else "stack.yaml")
    file.write_text(spec, encoding="utf-8")
    assert main(command.split()) in (1, 3, 64)
    told = "".join(capsys.readouterr())
    known = {"it": environment["ALB_RECONCILE_WEBHOOK_SECRET"] if C[:8] in environment.values() else C}
    assert not any(form.decode() in told for form in forms(known["it"])), told
    assert leaks_in_files(known, tmp_path, [file]) == {}


def test_an_error_of_awss_loses_the_secrets_that_were_sent() -> None:
    error = AwsError("ec2", "run_instances", "Invalid", f"'{C}' isn't base64", "1", hint=f"not {C}")
    hide_secrets(error, {"UserData": C.encode(), "Actions": [{"AuthenticateOidcConfig": {"ClientSecret": ""}}]})
    assert (error.message, str(error)) == (
        "'***' isn't base64",
        "RunInstances: Invalid: '***' isn't base64 (request 1); not ***",
    )


GIVEN = {
    "AWS_SECRET_ACCESS_KEY": C, "ALB_RECONCILE_WEBHOOK_SECRET": C, "ALB_RECONCILE_WEBHOOK_URL": C, "GITHUB_TOKEN": C,
    "ALB_RECONCILE_FLEET_QUEUE": C, "OTEL_EXPORTER_OTLP_HEADERS": C, "OIDC_SECRET": C,
}  # fmt: skip


def test_the_sandboxs_process_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on when the command has ended, and every process of the user's may read its environment."""
    started: dict[str, Any] = {}

    def note(command: list[str], **options: Any) -> None:
        started.update(command=command, **options)

    monkeypatch.setattr(subprocess, "Popen", note)
    monkeypatch.setenv("ALB_RECONCILE_SANDBOX_DIR", str(tmp_path))
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    with client._locked() as lock, client._listen(0) as listener:
        client._spawn(lock, listener, {})
    assert C not in repr(started)
    assert started["env"]["ALB_RECONCILE_SANDBOX_DIR"] == str(tmp_path)


def test_git_gets_no_secrets_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine may read a process's arguments: a password in a repository's URL isn't among them, nor shown."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def note(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        calls.append((command, env))
        said = b"fatal: no" * command.count("fetch")
        return subprocess.CompletedProcess(command, bool(said), b"", said)

    monkeypatch.setattr(subprocess, "run", note)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    password = plain_canary("git")
    source = Source("specs", git=f"https://bot:{password}@git.example.com/specs.git", ref="v1")
    cell = Cell("shops", "111111111111", "us-east-1", "all", (source,), tmp_path)
    with Sources(tmp_path / "cache", Session()) as sources:
        (broken,) = sources.load(cell).broken
    assert broken.file == "https://***@git.example.com/specs.git@v1:specs"
    assert broken.text.startswith(f"{broken.file} can't be checked out: fatal: no;")
    fetch, environment = calls[-1]
    assert "https://git.example.com/specs.git" in fetch
    assert not any(form.decode() in repr([broken, [command for command, _ in calls]]) for form in forms(password))
    assert environment["GIT_CONFIG_KEY_0"] == "http.https://git.example.com/.extraHeader"
    assert re.fullmatch(r"Authorization: Basic [A-Za-z0-9+/=]+", environment["GIT_CONFIG_VALUE_0"])
    assert {name for name, value in environment.items() if value == C} == {
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "OIDC_SECRET",
    }
