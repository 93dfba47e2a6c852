"""Secrets in the wrong place, or in a form that nothing can be done with: what is said about that doesn't repeat them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.sandbox import client
from tests.canaries.canaries import forms, leaks_in_files, plain_canary

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

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
    listeners:
      https:
        default_action:
          authenticate_oidc: {issuer: "https://i", client_id: web, client_secret: %s}
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
