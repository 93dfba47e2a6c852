"""What a change of certificates does to who asks meanwhile, and that whoever judges it can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kinds.test_certificate import secure
from tests.properties.account import account
from tests.properties.test_ill_starts import go

if TYPE_CHECKING:
    from tests.harness import Spec


def secured(*names: str) -> Spec:
    """The demo behind HTTPS with requested certificates: the first one, for two names, is the default."""
    entries = {
        name: {
            "domain_name": f"{name}.example.net",
            "subject_alternative_names": ["www.example.net"],
            "zone": "Z0000ONE",
        }
        for name in names
    }
    return secure(*names, **entries)


@pytest.mark.parametrize(
    ("before", "after"),
    [(["a", "b"], ["b", "a"]), pytest.param(["a", "b"], ["c", "b", "a"], marks=pytest.mark.slow)],
    ids=str,
)
def test_a_name_that_keeps_a_certificate_has_one_meanwhile(before: list[str], after: list[str]) -> None:
    """www.example.net is on each; one that moves from the default place to the others or back is never on neither."""
    go(secured(*before), secured(*after))


@pytest.mark.slow
def test_a_certificate_that_is_missing_for_a_moment_is_seen() -> None:
    """Also where another one stays."""
    spec = secured("a", "b")
    with account() as here:
        here.begin(spec)
        elb = here.world.client("elbv2")
        ids = {str(item.address): item.id for item in here.world.discover(spec).resources}
        which = {
            "ListenerArn": ids["listener.public/https"],
            "Certificates": [{"CertificateArn": ids["certificate.b"]}],
        }
        here.clients.watch()
        elb.remove_listener_certificates(**which)
        assert here.clients.uncertified() == {}, "it may be meant to go"
        elb.add_listener_certificates(**which)
        ((_, port, host),) = here.clients.uncertified()
        assert (port, host) == (443, "b.example.net")
