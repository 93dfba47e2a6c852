"""Which user data the sandbox runs, and what it finds in it."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from alb_reconcile.kinds.instance.application.user_data import Application
from alb_reconcile.sandbox.application import application_in
from alb_reconcile.sandbox.listening import ports_in

APP = Application(
    bucket="artifacts", prefix="*", key="web.tar.gz", command="PORT=1 exec ./web", port=8080, region="us-east-1", domain="amazonaws.com",
    environment={"GREETING": "PORT=7: hello\n"}, secrets={"KEY": "ssm:/web/key"}, packages=["git"], setup=["make"],
    log_group="/web",
)  # fmt: skip
DATA = APP.user_data({"artifact": "v1"})


def test_the_program_and_the_settings_are_those_of_the_user_data() -> None:
    found = application_in(DATA)
    assert found is not None
    assert (found.port, found.log_group) == (8080, "/web")
    assert found.program == files("alb_reconcile.kinds.instance.application").joinpath("program_1.py").read_text(
        "utf-8"
    )
    settings = json.loads(found.settings)
    assert settings["artifact"] == {"bucket": "artifacts", "key": "web.tar.gz", "version": "v1"}
    assert settings["environment"] == {"GREETING": "PORT=7: hello\n"}


def test_it_listens_at_its_port_whatever_else_its_text_says() -> None:
    assert ports_in(DATA) == (8080,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\nPORT=80 exec web",
        b"#cloud-config\nwrite_files: [",
        b"#cloud-config\nruncmd: [reboot]\n",
        b"#cloud-config\n- 1\n",
        b"#cloud-config\nwrite_files: " + b"[" * 5000,
        b"#cloud-config\nwrite_files: 2020-99-99\n",
        DATA.replace(b'"port": 8080', b'"port": 0'),
        DATA.replace(b'"port": 8080', b'"port": "8080"'),
        DATA.replace(b'"log_group": "/web"', b'"log_group": 1'),
        DATA.replace(b"/usr/local/lib/alb-reconcile/application", b"/usr/local/lib/other"),
        DATA.replace(b"/etc/alb-reconcile/application.json", b"/etc/other.json"),
        DATA.replace(b"#cloud-config", b"#!/bin/sh"),
        DATA.replace(b"    {", b"    {{", 1),
    ],
)
def test_other_user_data_isnt_run(data: bytes) -> None:
    assert application_in(data) is None
