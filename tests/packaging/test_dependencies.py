"""What `make check` says of the packages that users get: their licences."""

from __future__ import annotations

import pytest

from scripts.dependencies import allowed, installed, licence


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "mit",
        "Apache-2.0 OR BSD-3-Clause",
        "Apache-2.0 AND CNRI-Python",
        "GPL-3.0-only OR MIT",
        "MIT OR LicenseRef-Sold",
        "MIT AND (LGPL-2.1-only OR ISC)",
        "Apache-2.0 WITH LLVM-exception",
        "BSD",
        "BSD License",
        "BSD License, Apache Software License",
        "MIT, Mozilla Public License 2.0 (MPL 2.0)",
    ],
)
def test_licences_that_are_allowed(text: str) -> None:
    assert allowed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UNKNOWN",
        "Dual License",
        "GPL-3.0-only",
        "GPL-3.0-only AND MIT",
        "MIT AND GPL-3.0-only",
        "Apache-2.0 AND LGPL-2.1-only",
        "MIT AND (LGPL-2.1-only OR GPL-2.0-only)",
        "(MIT OR Apache-2.0) AND AGPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT WITH Commons-Clause",
        "BSD-3-Clause-No-Nuclear-License",
        "BSD-4-Clause",
        "LicenseRef-MIT",
        "Business Source License, MIT later",
        "GNU General Public License v3 (GPLv3), MIT License",
        "MIT License, GNU Lesser General Public License v2 (LGPLv2)",
        "MIT License with Commons Clause",
        "Not MIT",
        "MIT AND",
        "MIT,",
    ],
)
def test_licences_that_are_refused(text: str) -> None:
    assert not allowed(text)


def test_licences_of_what_users_get() -> None:
    assert [(name, licence(item)) for name, item in installed().items() if not allowed(licence(item))] == []
