"""Where real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def real_data(name: str) -> Path:
    """The folder of a real dataset, or a skip that says where it was looked for."""
    root = Path(os.environ.get("OMIB_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / name).is_dir():
        pytest.skip(f"real data {name!r} is not in {root} (set OMIB_REAL_DATA to the folder that has it)")
    return root / name
