"""Classes of few samples count in the loss as the recipe says, in warm-up, training and selection."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
from small import small_recipe, write_dataset

from omib_cli.artifacts.catalogue import describe
from omib_cli.artifacts.dataset import Dataset
from omib_cli.errors import MismatchError, RecipeError
from omib_cli.recipe.load import recipe_from_values
from omib_cli.recipe.tasks import ClassificationOptions
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, train, warmup
from omib_cli.training.weights import class_weights


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """One sample in ten is of the second class, which the modalities tell badly."""
    rng = np.random.default_rng(0)
    rows = 500
    labels = (np.arange(rows) % 10 == 0).astype(float)
    values = {name: rng.normal(size=(rows, 4)) + 0.45 * labels[:, None] for name in ("x1", "x2")}
    path = tmp_path_factory.mktemp("rare") / "rare.h5"
    return write_dataset(path, values, labels, np.repeat([0, 1, 2], [300, 50, 150]), classes=["common", "rare"])


def weighted(weights, **sections):
    task = ClassificationOptions(weights=weights)
    return small_recipe(**sections).model_copy(update={"task": task})


def weights_of(dataset, weights):
    with Dataset(dataset) as data:
        return class_weights(ClassificationOptions(weights=weights), data)


def test_balanced_classes_weigh_as_much_as_each_other_and_samples_1_on_average(rare):
    common, seldom = weights_of(rare, "balanced")
    assert (270 * common, 30 * seldom) == (pytest.approx(150.0), pytest.approx(150.0))
    assert weights_of(rare, None) is None


def test_given_weights_keep_their_ratio_and_the_others_weigh_1(rare):
    common, seldom = weights_of(rare, {"rare": 4.0})
    assert seldom / common == pytest.approx(4.0)
    assert 270 * common + 30 * seldom == pytest.approx(300.0)


def test_a_class_that_the_data_do_not_have_is_refused_by_name(rare):
    with pytest.raises(MismatchError, match="common, rare") as caught:
        weights_of(rare, {"seldom": 4.0})
    assert "seldom" in str(caught.value)


@pytest.mark.parametrize("weights", ["even", {"rare": 0.0}, {"rare": -1.0}, 3.0])
def test_weights_that_are_none_are_refused(weights):
    values = small_recipe().resolved()
    values["task"]["weights"] = weights
    with pytest.raises(RecipeError, match="weights"):
        recipe_from_values(values)


@pytest.mark.parametrize("method", ["omib", "concat", "dmib"])
def test_balanced_training_finds_more_of_the_rare_class(rare, tmp_path, method):
    recalls = {}
    for weights in (None, "balanced"):
        job, folder = Job(threads=1, device="cpu"), tmp_path / str(weights)
        phase = {"epochs": 4, "batch": 32, "optimiser": {"lr": 0.01}}
        recipe = weighted(weights, fusion={"method": method}, train=phase)
        model = train.run(recipe, rare, folder / "model.safetensors", job).out
        obs = anndata.read_h5ad(embed.run(rare, model, folder / "e.h5ad", job).out).obs
        own = obs[(obs["split"] == "test") & (obs["label"] == "rare")]
        recalls[weights] = (own["prediction"] == "rare").mean()
        assert describe(model).facts.get("class_weights") == weights_of(rare, weights)
    assert recalls["balanced"] > recalls[None] + 0.2


def test_warm_up_weighs_classes_too(rare, tmp_path):
    found = []
    for weights in (None, "balanced"):
        recipe = weighted(weights)
        out = tmp_path / str(weights) / "warmup.safetensors"
        found.append(warmup.run(recipe, rare, out, Job(threads=1, device="cpu")))
        assert describe(out).facts.get("class_weights") == weights_of(rare, weights)
    assert found[0].figures["loss"] != pytest.approx(found[1].figures["loss"], rel=0.05)
