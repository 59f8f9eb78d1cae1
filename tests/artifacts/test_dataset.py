"""Reading datasets: the door before the test split, and files that are not what they should be."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from small import small_recipe

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import verify
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.errors import DataError
from omib_cli.stages import simulate


@pytest.fixture
def path(tmp_path, job):
    simulate.run(small_recipe(), tmp_path / "data.h5", job)
    return tmp_path / "data.h5"


def test_a_training_reader_cannot_read_the_test_split(path):
    with Dataset(path) as data:
        assert data.readable == range(270)
        with pytest.raises(PermissionError):
            data.rows("test")
        for rows in (range(270, 300), range(269, 271), range(-1, 5), range(300)):
            for read in (lambda r: data.values("x1", r), data.labels, data.present, data.ids, data.split_names):
                with pytest.raises(PermissionError):
                    read(rows)
        assert data.values("x1", data.rows("train")).shape[0] == 216
    with Dataset(path, EVERYTHING) as data:
        assert len(data.labels(data.rows("test"))) == 30


def test_truth_comes_back(path):
    with Dataset(path) as data:
        truth = data.truth()
        assert truth is not None
        assert truth["delta"].shape == (8,)
        assert truth["columns"]["x1"]["a1"] == [6, 9]
        assert data.features("x1")[0] == "b0_0"


def change(path, name, alter):
    with h5py.File(path, "r+") as file:
        alter(file, name)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_truncated_file(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(DataError) as caught:
        Dataset(path)
    assert str(path) in str(caught.value)


def test_missing_foreign_and_wrong_files(tmp_path, path):
    with pytest.raises(DataError, match="no such dataset"):
        Dataset(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match="not a readable dataset"):
        Dataset(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="wrong kind"):
        Dataset(tmp_path / "foreign.h5")
    with h5py.File(path, "r+") as file:
        file.attrs[fmt.ATTR_KIND] = fmt.INFORMATION
    with pytest.raises(DataError, match="wrong kind"):
        Dataset(path)


def test_newer_schema_says_upgrade(path):
    place = fmt.PROVENANCE[fmt.DATASET]
    with h5py.File(path, "r+") as file:
        told = file[place][()].decode().replace('"schema": 1', '"schema": 99')
        del file[place]
        file[place] = told
    with pytest.raises(DataError) as caught:
        Dataset(path)
    assert "schema 99" in str(caught.value)
    assert "upgrade" in str(caught.value)


def put(place, index, value):
    def alter(file):
        file[place][index] = value

    return alter


def remove(place):
    def alter(file):
        del file[place]

    return alter


def replace(place, array):
    def alter(file):
        del file[place]
        file[place] = array

    return alter


def narrow(file):
    del file["modalities/x1/values"]
    file["modalities/x1/values"] = np.zeros((300, 0), dtype=np.float32)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (put("labels", 3, np.nan), "label out of range"),
        (put("labels", 3, 2.0), "0 to 1"),
        (put("labels", 3, 0.5), "row 3"),
        (put("split", 0, 2), "not ordered by split"),
        (remove("labels"), "incomplete"),
        (remove("modalities/x2"), "incomplete"),
        (remove(fmt.PROVENANCE[fmt.DATASET]), "never finished"),
        (narrow, "contradicts itself"),
        (replace("labels", ["a"] * 300), "float64"),
        (replace("split", ["train"] * 300), "uint8"),
        (replace("modalities/x1/values", [["a"] * 10] * 300), "float32"),
        (put("ids", 3, "s0000004"), "the same id"),
    ],
)
def test_altered_file(path, alter, words):
    with h5py.File(path, "r+") as file:
        alter(file)
    with pytest.raises(DataError) as caught:
        Dataset(path)
    assert words in str(caught.value)


def test_nan_among_the_values_is_located_and_verify_notices_any_change(path):
    verify(path)
    with h5py.File(path, "r+") as file:
        file["modalities/x2/values"][7, 1] = np.nan
    with Dataset(path) as data, pytest.raises(DataError, match="NaN") as caught:
        data.values("x2", range(20))
    assert "x2/values, row 7" in str(caught.value)
    with pytest.raises(DataError, match="has changed"):
        verify(path)
