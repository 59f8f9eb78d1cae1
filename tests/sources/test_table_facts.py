"""What is said of a table's values: the same for blocks in memory and sparse ones from a file."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from omib_cli.sources.matrices import DenseMatrix
from omib_cli.sources.table_facts import Summary


class Sparse:
    """Blocks of three rows, as a file gives them."""

    def __init__(self, values):
        self.shape = values.shape
        self._values = values

    def blocks(self):
        for start in range(0, len(self._values), 3):
            yield start, csr_matrix(self._values[start : start + 3].astype(np.float32))


def counts():
    values = np.random.default_rng(0).poisson(1.0, (20, 12)).astype(float)
    values[:, 3], values[:, 4] = 2.0, 0.0
    values[17] = values[2]
    return values


def test_sparse_blocks_say_what_dense_values_say():
    dense, sparse = Summary.of(DenseMatrix(counts())), Summary.of(Sparse(counts()))
    assert dense == sparse
    assert (dense.low, dense.high, dense.constant, dense.copies) == (0.0, counts().max(), 2, 1)
    assert (dense.kind, dense.missing) == ("counts", 0.0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.eye(12), "binary"),
        (np.eye(12) * 3, "counts"),
        (np.eye(3) * 3, "whole numbers"),
        (np.eye(12) * 0.5, "shares"),
        (np.eye(12) * 1.5, "numbers"),
        (np.eye(12) * -1, "numbers"),
    ],
)
def test_the_kind_is_told_from_the_values(values, kind):
    assert Summary.of(DenseMatrix(values)).kind == kind


def test_missing_values_hide_nothing():
    values = counts()
    values[0], values[5, 5] = np.nan, np.nan
    found = Summary.of(DenseMatrix(values))
    assert found.missing == pytest.approx(13 / 240)
    assert (found.kind, found.constant) == ("counts", 2)
    empty = Summary.of(DenseMatrix(np.full((4, 2), np.nan)))
    assert (empty.missing, empty.low, empty.high, empty.constant) == (1.0, 0.0, 0.0, 2)
