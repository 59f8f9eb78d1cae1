"""A split read from disk gives the samples, and the training, of the same split in memory."""

from __future__ import annotations

from itertools import chain

import h5py
import pytest
import torch
from small import small_recipe, toy_dataset

from omib_cli.artifacts.dataset import Dataset
from omib_cli.data import order
from omib_cli.data.order import Order
from omib_cli.data.samples import read_split
from omib_cli.data.stream import Stream
from omib_cli.errors import DataError, Interrupted, UsageError
from omib_cli.runtime.job import Job
from omib_cli.runtime.machine import available_memory, memory_for_samples, memory_size
from omib_cli.stages import train
from omib_cli.training.loop import batch_bounds

CPU = torch.device("cpu")


@pytest.fixture
def small_windows(monkeypatch):
    """Pieces of 3 rows of the toy data, windows of 12."""
    monkeypatch.setattr(order, "PIECE_BYTES", 3 * 48)
    monkeypatch.setattr(order, "PIECES", 4)


def visited(plan, *arguments):
    return torch.cat([window.rows() for window in plan.windows(*arguments)])


@pytest.mark.parametrize("row_bytes", [48, 2**19])
def test_order_is_a_permutation_decided_by_seed_phase_and_epoch(row_bytes):
    plan = Order(1000, row_bytes)
    assert (plan.window < 1000) == (row_bytes == 2**19)
    rows = visited(plan, 0, "train", 3)
    assert sorted(rows.tolist()) == list(range(1000))
    assert torch.equal(rows, visited(plan, 0, "train", 3))
    for other in ((1, "train", 3), (0, "warmup", 3), (0, "train", 4)):
        assert not torch.equal(rows, visited(plan, *other))


def test_a_window_mixes_pieces_from_everywhere():
    first = next(Order(100_000, 2**15).windows(0, "train", 0))
    assert max(map(len, first.pieces)) == 16
    starts = torch.tensor([piece.start for piece in first.pieces]).double()
    assert 0.4 < float((starts / 100_000).mean()) < 0.6
    assert float(starts.max() - starts.min()) > 90_000


def test_bounds_hold_every_sample_once_and_no_batch_of_one():
    assert batch_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert batch_bounds(9, 4) == [(0, 4), (4, 9)]
    assert batch_bounds(1, 4) == [(0, 1)]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("first", [0, 3])
def test_batches_from_disk_are_those_from_memory(tmp_path, small_windows, missing, first):
    with Dataset(toy_dataset(tmp_path / "d.h5", missing=missing)) as data:
        held, stream = read_split(data, "train", CPU), Stream(data, "train", CPU)
        assert held.order == stream.order
        bounds = batch_bounds(len(held), 32)[first:]
        pairs = chain(
            zip(held.batches(50), stream.batches(50), strict=True),
            zip(*(one.shuffled(one.order.windows(0, "train", 1), bounds) for one in (held, stream)), strict=True),
        )
        count = 0
        for ours, theirs in pairs:
            assert torch.equal(ours.labels, theirs.labels)
            assert all(torch.equal(a, b) for a, b in zip(ours.values, theirs.values, strict=True))
            assert ours.complete == theirs.complete == (not missing)
            assert torch.equal(ours.present, theirs.present)
            count += len(ours)
    assert count == 2 * 240 - 32 * first


def test_memory_holds_two_windows_whatever_the_size(tmp_path, small_windows):
    with Dataset(toy_dataset(tmp_path / "d.h5")) as data:
        stream = Stream(data, "train", CPU)
        parts = stream.shuffled(stream.order.windows(0, "train", 0), batch_bounds(240, 32))
        assert sum(len(batch) for batch in parts) == 240
        assert [len(values) for buffer in stream._buffers for values in buffer.values()] == [12] * 4


def test_training_from_disk_ends_in_the_same_bits(tmp_path, small_windows):
    recipe = small_recipe(warmup={"epochs": 1, "batch": 32}, train={"epochs": 2, "batch": 32, "select": "validation"})
    dataset = toy_dataset(tmp_path / "d.h5")
    hashes = []
    for name, memory in (("held", None), ("streamed", 2000)):
        (tmp_path / name).mkdir()
        hashes.append(train.run(recipe, dataset, tmp_path / name / "m.safetensors", Job(threads=1, memory=memory)).hash)
    assert hashes[0] == hashes[1]


def test_training_from_disk_that_is_interrupted_in_mid_epoch_continues_to_the_same_bits(tmp_path, small_windows):
    class StopsOnce:
        """A stop at the 11th step, in the midst of a window and an epoch."""

        def __init__(self, job):
            self.job, self.steps = job, 0

        def __getattr__(self, name):
            return lambda *args, **kwargs: None

        def advance(self, count, **figures):
            self.steps += 1
            if self.steps == 11:
                self.job.stop.set("test")

    recipe = small_recipe(warmup={"epochs": 0}, train={"epochs": 3, "batch": 32})
    dataset = toy_dataset(tmp_path / "d.h5")
    whole = train.run(recipe, dataset, tmp_path / "whole.safetensors", Job(threads=1, memory=2000))
    job = Job(threads=1, memory=2000)
    job.progress = StopsOnce(job)
    with pytest.raises(Interrupted):
        train.run(recipe, dataset, tmp_path / "parts.safetensors", job)
    parts = train.run(recipe, dataset, tmp_path / "parts.safetensors", Job(threads=1, memory=2000))
    assert parts.hash == whole.hash


def test_values_that_are_not_finite_are_found_before_training(tmp_path):
    path = toy_dataset(tmp_path / "d.h5")
    with h5py.File(path, "r+") as file:
        file["modalities/x2/values"][17, 3] = float("nan")
    with Dataset(path) as data, pytest.raises(DataError, match="NaN"):
        Stream(data, "train", CPU)


def test_too_little_memory_is_refused_with_the_least(tmp_path, small_windows):
    recipe = small_recipe(warmup={"epochs": 0})
    with pytest.raises(UsageError, match="too little"):
        train.run(recipe, toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors", Job(threads=1, memory=1000))


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 2**29), ("1.5g", 3 * 2**29), ("2GiB", 2**31), ("100", 100), ("1KB", 1024)]
)
def test_sizes_are_binary(text, size):
    assert memory_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "5X", "-1G", "1.2.3M"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="is not a size"):
        memory_size(text)


def test_slurms_grant_bounds_the_memory(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "64")
    assert available_memory() == 64 * 2**20
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    assert available_memory() > 64 * 2**20


def test_processes_of_one_machine_divide_the_memory_for_samples(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "64")
    assert memory_for_samples() == 32 * 2**20
    for name, value in (("WORLD_SIZE", "8"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    assert memory_for_samples() == 8 * 2**20
