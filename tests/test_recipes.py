"""Every recipe that comes with omib is valid and says what it is for."""

from __future__ import annotations

import pytest
from real import REPOSITORY

from omib_cli.recipe.load import bundled, bundled_text, load_recipe

NAMES = list(bundled())


def test_the_bundled_recipes_are_those_of_the_checkout():
    assert {path.stem for path in (REPOSITORY / "recipes").glob("*.yaml")} == set(bundled())
    assert {"sim-i", "sim-ii", "sim-iii", "sim-three", "rosmap", "cmu-mosi-features"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_valid_and_bears_the_name_of_its_file(name):
    assert load_recipe(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_starts_with_the_command_that_runs_it(name):
    assert bundled_text(name).startswith(f"# omib run {name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_no_file_outside_the_project(name):
    assert "methods.md" not in bundled_text(name)


@pytest.mark.parametrize(("name", "own"), [("sim-i", (500, 100)), ("sim-ii", (100, 500)), ("sim-iii", (300, 300))])
def test_the_papers_cases_have_a_thousand_features_a_modality(name, own):
    sizes = load_recipe(name).data.sizes
    assert (sizes["a1"], sizes["a2"]) == own
    assert sum(sizes[part] for part in ("a0", "a1", "b0", "b1")) == 1000
    assert sum(sizes[part] for part in ("a0", "a2", "b0", "b2")) == 1000


@pytest.mark.parametrize("name", ["sim-i", "sim-ii", "sim-iii"])
def test_the_papers_cases_train_as_the_paper_says(name):
    recipe = load_recipe(name)
    assert (recipe.warmup.epochs, recipe.train.epochs) == (10, 90)
    for phase in (recipe.warmup, recipe.train):
        assert (phase.batch, phase.optimiser.kind, phase.optimiser.lr) == (128, "adam", 1e-4)
    assert recipe.beta.policy == "uniform"
