from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Sidecar, sidecar


@pytest.fixture(scope="session")
def shared() -> Iterator[Sidecar]:
    """One sidecar with one worker for all tests that do not hurt it."""
    with sidecar() as made:
        yield made
