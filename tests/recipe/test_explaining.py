"""A recipe in plain words."""

from __future__ import annotations

import pytest

from omib_cli.recipe.explaining import explain
from omib_cli.recipe.load import bundled, load_recipe


@pytest.mark.parametrize("name", list(bundled()))
def test_every_recipe_can_be_explained_in_lines_of_words(name):
    said = explain(load_recipe(name))
    assert {"data", "task", "fusion", "training", "evaluation"} <= set(said)
    assert all(text and "\n" not in text and "Options" not in text for text in said.values())
    assert sum(part.startswith("encoder ") for part in said) == len(load_recipe(name).modalities)


def test_words_follow_the_settings():
    def said(part, *settings):
        return explain(load_recipe("rosmap", settings))[part]

    assert "lower bound" in said("beta")
    assert "upper bound" in said("beta", "beta.policy=upper")
    assert "40 epochs" in said("warm-up")
    assert "missing values are an error" in said("preprocessing")
    assert "missing values become the median" in said("preprocessing", "data.impute=median")
    assert "70% of the encoding" in said("encoder mrna")
    steps = "data.tables.mrna.preprocess=[{kind: log1p}, {kind: pca, components: 9}]"
    assert said("preprocessing", steps).startswith("mrna: log1p, then pca; ")
    assert "as the files" in said("split")
    assert "25%" in said("split", "data.split.by=stratified", "data.split.test=0.25")


def test_a_method_without_beta_and_warm_up_has_neither():
    said = explain(load_recipe("rosmap", ["fusion.method=concat"]))
    assert not {"beta", "information", "warm-up"} & set(said)
    assert "90 epochs" in said["training"]
