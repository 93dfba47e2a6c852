"""botocore's models by a quicker way: users' own come first, and one that is broken is named."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session

from alb_reconcile.aws.models import make_session

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ("sts", "service-2", "2011-06-15")


def model_of(session: Any) -> Any:
    return session.get_component("data_loader").load_service_model(*MODEL)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for models of the user's own."""
    folder = tmp_path / "sts" / "2011-06-15"
    folder.mkdir(parents=True)
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    return folder


def test_they_say_what_botocore_reads() -> None:
    assert model_of(make_session()) == model_of(Session())


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_a_users_own_comes_first(own: Path, suffix: str) -> None:
    text = json.dumps({"metadata": {"serviceId": "Mine"}}).encode()
    (own / f"service-2{suffix}").write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert model_of(make_session())["metadata"] == {"serviceId": "Mine"} == model_of(Session())["metadata"]
