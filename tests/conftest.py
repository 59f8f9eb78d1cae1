"""Shared fixtures."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread: small matrices only lose time on more, and results do not depend on the machine's grant."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def job():
    """A job on one thread of the CPU that shows nothing."""
    from omib_cli.runtime.job import Job

    return Job(device="cpu", threads=1, command="test")
