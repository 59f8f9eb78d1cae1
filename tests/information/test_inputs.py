"""What stands for a modality: which rows, which columns, and nothing of samples that lack it."""

from __future__ import annotations

from unittest.mock import ANY

import numpy as np
import pytest
import torch
from small import small_recipe, write_dataset

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.information import read_information
from omib_cli.errors import NumericError
from omib_cli.information.components import fit_components
from omib_cli.information.estimation import MutualInformation, standardise
from omib_cli.information.inputs import chosen_rows, pair_rows, principal_components, read_vectors, standardised
from omib_cli.recipe.information import InformationOptions
from omib_cli.stages import estimate_mi

EVERYWHERE = torch.ones(60, dtype=torch.bool)


def test_rows_are_drawn_from_the_seed_once_each_and_stay_in_order():
    found = chosen_rows(1000, 100, 3)
    assert len(found) == 100
    assert found.tolist() == sorted(set(found.tolist()))
    assert not torch.equal(found, chosen_rows(1000, 100, 4))
    assert torch.equal(found, chosen_rows(1000, 100, 3))
    assert chosen_rows(100, 100, 3).tolist() == list(range(100))


def test_principal_components_are_those_of_largest_variance_in_order():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 9.0, 3.0])
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    found = principal_components(hidden @ rotation + 5.0, 2)
    assert found.shape == (500, 2)
    assert torch.allclose(found.mean(0), torch.zeros(2), atol=1e-4)
    for component, column in ((0, 1), (1, 2)):
        joined = torch.corrcoef(torch.stack([found[:, component], hidden[:, column]]))
        assert abs(float(joined[0, 1])) > 0.99
    assert torch.allclose(principal_components(-(hidden @ rotation), 2).abs(), found.abs(), atol=1e-3)


def test_samples_without_the_modality_do_not_enter_its_scale():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, 3, generator=generator) * 4 + 2
    present = torch.arange(60) % 3 != 0
    values[~present] = 1e6
    found = standardised(values, present, "raw", InformationOptions(), 0)
    assert torch.allclose(found.values[present].mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.values[present].var(0, correction=0), torch.ones(3), atol=1e-5)
    assert bool((found.values[~present] == 0).all())


def test_encodings_are_cut_to_the_rows_that_are_drawn_and_to_their_components():
    values = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    options = InformationOptions(samples=20, components=2)
    found = standardised(values, EVERYWHERE, "encodings", options, 3)
    assert (found.what, len(found.values)) == ("encodings", 20)
    torch.testing.assert_close(found.values, standardise(values[chosen_rows(60, 20, 3)]))
    assert standardised(values, EVERYWHERE, "pca", options, 3).values.shape == (20, 2)


@pytest.mark.parametrize("lacking", [0, 7])
def test_a_pair_takes_the_samples_that_have_both_row_by_row(lacking):
    values = torch.arange(60.0)[:, None]
    left, right = EVERYWHERE.clone(), EVERYWHERE.clone()
    left[:lacking], right[-lacking or 60 :] = False, False
    options = InformationOptions()
    x, z = pair_rows(standardised(values, left, "raw", options, 0), standardised(values, right, "raw", options, 0))
    assert len(x) == len(z) == 60 - 2 * lacking
    order_x, order_z = x[:, 0].diff(), z[:, 0].diff()
    assert bool((order_x > 0).all())
    assert torch.allclose(order_x, order_x[0].expand(len(order_x)), atol=1e-4)
    assert torch.allclose(order_z, order_z[0].expand(len(order_z)), atol=1e-4)


def two_wide_modalities(path, columns=18_000, samples=300, alike=None):
    """Ten factors that both share, ten of each one's own, and as much noise again; the first fifth is to be tested.

    Every sample whose number ``alike`` divides is the same.
    """
    rng = np.random.default_rng(0)
    shared, values = rng.normal(size=(samples, 10)), {}
    for name in ("x1", "x2"):
        factors = np.concatenate([shared, rng.normal(size=(samples, 10))], axis=1)
        weights = rng.normal(size=(20, columns)) / np.sqrt(20)
        values[name] = factors @ weights + rng.normal(size=(samples, columns))
        if alike:
            values[name][::alike] = values[name][0]
    split = np.repeat([0, 1, 2], [samples * 7 // 10, samples // 10, samples // 5])
    return write_dataset(path, values, (shared[:, 0] > 0).astype(float), split)


def test_wide_vectors_are_reduced_and_what_they_share_is_found(tmp_path, job):
    recipe = small_recipe().model_copy(update={"information": InformationOptions(seeds=1)})
    information = read_information(
        estimate_mi.run(recipe, two_wide_modalities(tmp_path / "d.h5"), tmp_path / "i.h5", job).out
    )
    facts = information.provenance.facts
    assert facts["inputs"] == {"x1": "pca", "x2": "pca"}
    assert facts["components"]["x1"] == {"columns": 18_000, "components": 21, "variance": ANY, "fitted": 210}
    assert 0.4 < facts["components"]["x1"]["variance"] < 0.7
    for values in (*information.entropy.values(), *information.mutual.values()):
        assert values == pytest.approx(np.log(21), abs=0.2)  # what 21 held-out samples can show


def test_a_negative_entropy_is_refused_with_what_to_do(tmp_path, job):
    recipe = small_recipe().model_copy(update={"information": InformationOptions(seeds=1, input="raw", patience=3)})
    with pytest.raises(NumericError, match="H\\(x1\\) is negative") as caught:
        estimate_mi.run(recipe, two_wide_modalities(tmp_path / "d.h5", alike=3), tmp_path / "i.h5", job)
    assert "information.input=pca" in caught.value.do


def test_shared_information_below_zero_is_zero_and_said():
    learnt, lost = MutualInformation(2.0, 2.0, 20, 3.0), MutualInformation(0.0, -38.0, 20, 3.0)
    chance = MutualInformation(0.0, -0.2, 20, 3.0)
    warnings = estimate_mi._below_zero({"a": [learnt], "a|b": [learnt, lost, lost], "a|c": [chance]})
    assert len(warnings) == 1
    assert "I(a; b)" in warnings[0]
    assert "−38.00 nats in 2 of 3 repetitions" in warnings[0].replace("-", "−")


def test_components_of_wide_vectors_are_those_of_the_fitted_rows_alone():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(300, 2, generator=generator) @ torch.randn(2, 1500, generator=generator)
    values += 0.1 * torch.randn(300, 1500, generator=generator)
    values[:, 7] = 3.0  # constant: no scale, no part
    found = fit_components(values[:200], 2, 0)
    assert found.variance > 0.95
    scores = found.scores(values)
    assert scores.shape == (300, 2)
    assert torch.isfinite(scores).all()
    exact = principal_components(standardise(values[:200]), 2)
    for i in range(2):
        assert abs(float(torch.corrcoef(torch.stack([scores[:200, i], exact[:, i]]))[0, 1])) > 0.999
    assert torch.allclose(fit_components(values[:200], 2, 0).directions, found.directions)


def test_missing_samples_of_a_wide_vector_are_neither_fitted_nor_projected(tmp_path):
    rng = np.random.default_rng(1)
    values, here = rng.normal(size=(100, 1200)), np.arange(100) % 4 != 0
    values[~here] = 0.0
    path = write_dataset(tmp_path / "d.h5", {"x1": values}, np.arange(100.0) % 2, np.zeros(100), present={"x1": here})
    with Dataset(path) as data:
        found = read_vectors(data, ["x1"], InformationOptions(), 0)["x1"]
        assert read_vectors(data, ["x1"], InformationOptions(raw_columns=1200), 0)["x1"].what == "raw"
    assert (found.what, found.components.fitted, found.values.shape) == ("pca", 75, (100, 7))
    assert bool((found.values[~torch.from_numpy(here)] == 0).all())
    present = found.values[torch.from_numpy(here)]
    assert torch.allclose(present.mean(0), torch.zeros(7), atol=1e-5)
