"""An error that nobody foresaw ends its step and what needs it, not the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import harness
from tests.harness import demo, world

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest


def test_it_fails_its_step_and_the_next_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_raise_bugs", lambda _: None)
    with world() as account:
        real = account._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            if operation == "create_target_group":
                raise KeyError("a key\nof two lines")
            return real(service, operation, params)

        account._call = call  # type: ignore[method-assign]
        result = account.apply(demo())
        done = {str(item.step.address) for item in result.outcomes if item.how == "done"}
        (failed,) = (item for item in result.outcomes if item.how == "failed")
        assert str(failed.step.address) == "target_group.web"
        text = str(failed.error)
        assert text.startswith("unexpected KeyError in test_unexpected.py:")
        assert "report" in text
        assert text.isprintable()
        assert {"vpc.main", "security_group.web", "instance.web-1", "instance.web-2"} <= done
        assert {item.how for item in result.outcomes} == {"done", "failed", "skipped"}
        account._call = real  # type: ignore[method-assign]
        account.converge(demo())
