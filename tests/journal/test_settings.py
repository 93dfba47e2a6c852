"""Where runs leave something: from options, variables and files, and mistakes in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import UsageError

SECRET = "a secret of some length"
PLACE = {"ALB_RECONCILE_WEBHOOK_URL": "https://hooks.example.com", "ALB_RECONCILE_WEBHOOK_SECRET": SECRET}


def read(environ: dict[str, str], **options: Any) -> Any:
    return read_settings({"XDG_STATE_HOME": "/state", **environ}, **options)


def test_from_the_environment() -> None:
    nothing = read({})
    assert (nothing.folder, nothing.metrics_file, nothing.webhook) == (Path("/state/alb-reconcile"), None, None)
    url = "http://hooks.example.com/T0/B0"
    more = {"ALB_RECONCILE_METRICS_FILE": "/m/x.prom", "ALB_RECONCILE_WEBHOOK_ALLOW": "private,http"}
    settings = read(PLACE | more | {"ALB_RECONCILE_WEBHOOK_URL": url})
    assert settings.metrics_file == Path("/m/x.prom")
    assert (settings.webhook.private, settings.webhook.plain) == (True, True)
    assert settings.mask(f"{SECRET} {url}") == "*** ***"


def test_from_a_file(tmp_path: Path) -> None:
    """From options as from variables, and they outrank what the variables say themselves."""
    (tmp_path / "url").write_text("https://hooks.example.com/T0/B0\n")
    (tmp_path / "secret").write_text(SECRET + "\n")
    files = {"url": str(tmp_path / "url"), "secret": str(tmp_path / "secret")}
    environ = {f"ALB_RECONCILE_WEBHOOK_{name.upper()}_FILE": file for name, file in files.items()}
    others = {"ALB_RECONCILE_WEBHOOK_URL": "https://x.example.com", "ALB_RECONCILE_WEBHOOK_SECRET": "y" * 20}
    options = {f"webhook_{name}_file": file for name, file in files.items()}
    for settings in (read(environ | others), read(others, **options, webhook_allow="private")):
        assert settings.webhook.url == "https://hooks.example.com/T0/B0"
        assert settings.webhook.secret == SECRET.encode()
        assert settings.mask(f"{SECRET} https://hooks.example.com/T0/B0") == "*** ***"
        assert SECRET not in repr(settings)
        assert "T0" not in repr(settings)
    assert settings.webhook.private


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"webhook_secret_file": "x"}, "no webhook is configured; give --webhook-url-file, or set"),
        ({"webhook_allow": "http"}, "no webhook is configured"),
        ({"webhook_url_file": "/none"}, "the webhook's URL can't be read from /none: no such file or directory; "),
        ({"webhook_url_file": os.devnull}, f"can't be read from {os.devnull}: it isn't a regular file; "),
        ({"SECRET": ""}, "has no secret to sign with; give --webhook-secret-file, or set ALB_RECONCILE_WEBHOOK_SECRET"),
        ({"SECRET": "", "SECRET_FILE": "/none"}, "can't be read from /none: no such file or directory"),
        ({"SECRET": "", "SECRET_FILE": "/"}, "can't be read from /: is a directory"),
        ({"SECRET": "", "SECRET_FILE": "a\0b"}, "can't be read from "),
        ({"ALLOW": "all"}, "takes private and http"),
        ({"metrics_file": "x.txt"}, "has to end with .prom"),
    ],
    ids=str,
)
def test_mistakes(options: dict[str, str], text: str) -> None:
    """They are told before anything is changed, without the secret."""
    environ = {f"ALB_RECONCILE_WEBHOOK_{name}": value for name, value in options.items() if name.isupper()}
    options = {name: value for name, value in options.items() if name.islower()}
    with pytest.raises(UsageError) as caught:
        read(PLACE | environ if environ else {}, **options)
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)
