"""Samples in memory."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from small import small_recipe, toy_dataset

from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.samples import read_samples, read_split
from omib_cli.errors import DataError
from omib_cli.information.inputs import read_vectors

CPU = torch.device("cpu")


def test_batches_cover_every_sample_once_the_last_one_included(tmp_path):
    with Dataset(toy_dataset(tmp_path / "d.h5")) as data:
        samples = read_split(data, "train", CPU)
    pieces = list(samples.batches(64))
    assert [len(piece) for piece in pieces] == [64, 64, 64, 48]
    torch.testing.assert_close(torch.cat([piece.values[1] for piece in pieces]), samples.values[1])


def test_samples_know_who_lacks_what(tmp_path):
    with Dataset(toy_dataset(tmp_path / "a.h5")) as data:
        assert read_split(data, "train", CPU).complete
    with Dataset(toy_dataset(tmp_path / "b.h5", missing=True)) as data:
        samples = read_split(data, "train", CPU)
    assert not samples.complete
    assert samples.present[:, 0].all()
    assert not samples.present[:, 1].all()
    assert (samples.values[1][~samples.present[:, 1]] == 0).all()
    taken = samples.take(torch.tensor([5, 2]))
    assert torch.equal(taken.present, samples.present[[5, 2]])


def test_training_cannot_read_the_test_split(tmp_path):
    with Dataset(toy_dataset(tmp_path / "d.h5")) as data:
        with pytest.raises(PermissionError):
            read_split(data, "test", CPU)
        with pytest.raises(PermissionError):
            read_samples(data, range(290, 310), CPU)


@pytest.mark.parametrize(
    ("place", "rows", "value", "words"),
    [
        ("labels", slice(240), 1.0, "same label"),
        ("split", slice(1, 300), 1, "too few samples"),
        ("modalities/x1/values", slice(240), 3.0, "'x1' is constant"),
        ("modalities/x1/present", slice(240), False, "no training sample has modality 'x1'"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_are_refused(tmp_path, place, rows, value, words):
    with h5py.File(toy_dataset(tmp_path / "d.h5"), "r+") as file:
        file[place][rows] = value
    with Dataset(tmp_path / "d.h5") as data:
        with pytest.raises(DataError, match=words):
            read_split(data, "train", CPU)
        if place.startswith("modalities"):
            with pytest.raises(DataError, match=words):
                read_vectors(data, list(data.modalities), small_recipe().information, 0)


def test_constant_columns_beside_others_are_no_obstacle(tmp_path):
    with h5py.File(toy_dataset(tmp_path / "d.h5"), "r+") as file:
        file["modalities/x1/values"][:, 2] = np.float32(3)
    with Dataset(tmp_path / "d.h5") as data:
        assert len(read_split(data, "train", CPU)) == 240
