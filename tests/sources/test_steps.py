"""Steps from counts to features: equal to the libraries' own, sparse as dense, fitted on training samples alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.sources.tables import TableOptions
from omib_cli.sources.column_scores import KnownLabels
from omib_cli.sources.matrices import Blocks, DenseMatrix
from omib_cli.sources.step_list import apply_steps, fit_steps, must_be_in_order

N, D = 120, 40
EVERYTHING = np.ones(N, dtype=bool)


def counts(seed: int = 0) -> np.ndarray:
    """(120, 40) counts of genes of very different means."""
    rng = np.random.default_rng(seed)
    return rng.negative_binomial(2, 1 / (1 + rng.lognormal(0, 1, D)), size=(N, D)).astype(np.float64)


def labels(classes: bool = True) -> KnownLabels:
    values = np.arange(N) % 3 if classes else np.random.default_rng(1).normal(size=N)
    return KnownLabels(values.astype(np.float64), classes)


def steps(*every: dict):
    return TableOptions(files="x", preprocess=list(every)).preprocess


def fitted(values, every, training=EVERYTHING, known=None):
    matrix = values if isinstance(values, Blocks) else DenseMatrix(values)
    return fit_steps(matrix, every, training, known or labels(), [f"g{place}" for place in range(D)], "x.csv")


def rows(applied) -> np.ndarray:
    return applied.rows.take(np.arange(applied.rows.shape[0]))


def in_blocks(values: np.ndarray) -> Blocks:
    """The same values, sparse, in three blocks."""
    ends = [0, 50, 51, N]
    return Blocks([(a, csr_matrix(values[a:b].astype(np.float32))) for a, b in pairwise(ends)])


EVERY = [
    [{"kind": "log1p"}],
    [{"kind": "library-size"}, {"kind": "log1p"}],
    [{"kind": "clr"}],
    [{"kind": "tf-idf"}, {"kind": "lsi", "components": 5}],
    [{"kind": "select", "by": "variance", "top": 7}],
    [{"kind": "select", "by": "mad", "top": 7}],
    [{"kind": "select", "by": "anova", "top": 7}],
    [{"kind": "library-size"}, {"kind": "log1p"}, {"kind": "select", "by": "highly-variable", "top": 9}],
    [{"kind": "log1p"}, {"kind": "pca", "components": 4, "whiten": True}],
    [{"kind": "clip", "low": 0.05, "high": 0.9}, {"kind": "zscore"}],
]


@pytest.mark.parametrize("every", EVERY, ids=lambda every: "+".join(one["kind"] + one.get("by", "") for one in every))
def test_sparse_blocks_give_what_the_dense_matrix_gives_and_new_rows_what_they_gave_then(every):
    training = np.arange(N) < 90
    dense = fitted(counts(), steps(*every), training)
    sparse = fitted(in_blocks(counts()), steps(*every), training)
    assert dense.names == sparse.names
    np.testing.assert_allclose(rows(sparse), rows(dense), rtol=1e-4, atol=1e-4)
    again = apply_steps(DenseMatrix(counts()[[3, 100]]), steps(*every), dense.fitted, "x.csv")
    np.testing.assert_allclose(again.take(np.arange(2)), rows(dense)[[3, 100]], atol=1e-9)


@pytest.mark.parametrize("every", EVERY, ids=lambda every: "+".join(one["kind"] + one.get("by", "") for one in every))
def test_what_is_not_for_training_changes_nothing_that_is_fitted(every):
    training = np.arange(N) < 90
    changed = counts()
    changed[90:] = 1000.0 + np.arange(D)
    known = labels()._replace(values=np.where(training, labels().values, np.nan))
    one, other = (fitted(values, steps(*every), training, known) for values in (counts(), changed))
    assert one.fitted.keys() == other.fitted.keys()
    for key, value in one.fitted.items():
        np.testing.assert_array_equal(value, other.fitted[key])


def test_normalisation_and_variable_genes_are_those_of_scanpy():
    import anndata
    import scanpy as sc

    data = anndata.AnnData(counts())
    sc.pp.normalize_total(data)
    sc.pp.log1p(data)
    normal = fitted(counts(), steps({"kind": "library-size"}, {"kind": "log1p"}))
    np.testing.assert_allclose(rows(normal), data.X, rtol=1e-6)
    sc.pp.highly_variable_genes(data, n_top_genes=12, flavor="seurat")
    every = steps({"kind": "library-size"}, {"kind": "log1p"}, {"kind": "select", "by": "highly-variable", "top": 12})
    score = data.var["dispersions_norm"].to_numpy()  # of a tie (bins of one gene score 1), rounding says who is chosen
    found = [int(name[1:]) for name in fitted(counts(), every).names]
    assert sorted(score[found]) == pytest.approx(sorted(score)[-12:], abs=1e-5)


def test_scores_are_those_of_scikit_learn():
    from scipy.stats import median_abs_deviation
    from sklearn.feature_selection import f_classif, r_regression

    values = counts()
    best = {
        "variance": values.var(axis=0, ddof=1),
        "mad": median_abs_deviation(values, axis=0),
        "anova": f_classif(values, labels().values)[0],
    }
    for by, score in best.items():
        found = fitted(values, steps({"kind": "select", "by": by, "top": 6})).names
        assert sorted(score[[int(name[1:]) for name in found]]) == pytest.approx(sorted(score)[-6:])
    real = labels(classes=False)
    score = r_regression(values, real.values) ** 2
    found = fitted(values, steps({"kind": "select", "by": "anova", "top": 6}), known=real).names
    assert sorted(score[[int(name[1:]) for name in found]]) == pytest.approx(sorted(score)[-6:])


def test_a_centred_log_ratio_is_of_each_sample():
    values = counts()
    found = rows(fitted(values, steps({"kind": "clr"})))
    geometric = np.exp(np.log1p(values).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(found, np.log1p(values / geometric))


def test_missing_values_stay_missing_until_components_take_the_mean_in_their_place():
    values = counts()
    values[5, 3] = np.nan
    logged = rows(fitted(values, steps({"kind": "log1p"})))
    assert np.isnan(logged[5, 3])
    assert np.isnan(logged).sum() == 1
    mean = values.copy()
    mean[5, 3] = np.nanmean(values[:, 3])
    one, other = (rows(fitted(each, steps({"kind": "pca", "components": 3}))) for each in (values, mean))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_sample_without_a_count_stays_one():
    values = counts()
    values[4] = 0
    for every in ([{"kind": "library-size"}], [{"kind": "clr"}], [{"kind": "tf-idf"}]):
        for one in (values, in_blocks(values)):
            assert not rows(fitted(one, steps(*every)))[4].any()


def test_what_makes_no_sense_is_refused_with_its_place():
    with pytest.raises(DataError, match="negative") as caught:
        fitted(-counts(), steps({"kind": "log1p"}))
    assert "x.csv" in str(caught.value)
    with pytest.raises(DataError, match="more components"):
        fitted(counts(), steps({"kind": "pca", "components": 41}))
    with pytest.raises(RecipeError, match="is of counts"):
        must_be_in_order(steps({"kind": "pca", "components": 4}, {"kind": "log1p"}), "r", "rna")
