"""The rule from a fingerprint to a recipe: what decides what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omib_cli.recipe.fingerprint import ClipFacts, Fingerprint, LabelFacts, TableFacts, TableFile
from omib_cli.recipe.load import load_recipe, recipe_from_values
from omib_cli.recipe.planning import FEW, LEAST_INFORMED, MANY, SOME, plain_name, plan, task_of

LABELS = LabelFacts(TableFile("y.csv", id="id"), "y", 300, 0, "names", {"a": 200, "b": 100}, 2)
TABLE = TableFacts("rna", TableFile("rna.csv", id="id"), (), 300, 50, 300, 0.0, -1.0, 1.0, 0, "numbers")


def found(samples=300, labels=LABELS, table=TABLE):
    other = replace(table, name="protein", file=TableFile("protein.csv", id="id"))
    return Fingerprint(replace(labels, count=samples), (table, other), None, "id", samples, samples)


def planned(fingerprint, task=None):
    made = plan(fingerprint, "mine", task)
    return recipe_from_values(made.values), made


@pytest.mark.parametrize(
    ("samples", "like"),
    [(FEW - 1, "rosmap"), (FEW, "cmu-mosi-features"), (SOME - 1, "cmu-mosi-features"), (SOME, "sim-i-best")],
)
def test_the_network_is_that_of_the_recipe_for_as_many_samples(samples, like):
    recipe, made = planned(found(samples))
    model = load_recipe(like)
    own, theirs = (next(iter(one.modalities.values())).encoder.model_dump() for one in (recipe, model))
    assert own == theirs
    for section in ("head", "fusion", "warmup", "train", "beta"):
        assert getattr(recipe, section).model_dump() == getattr(model, section).model_dump()
    assert like in made.reasons["network"]


def test_components_keep_their_scale_and_other_tables_do_not():
    recipe, made = planned(found(table=replace(TABLE, kind="components")))
    assert {table.standardise for table in recipe.data.tables.values()} == {"block"}
    assert "uncorrelated" in made.reasons["scaling of rna"]
    assert {table.standardise for table in planned(found())[0].data.tables.values()} == {None}


def test_few_values_are_learnt_in_nats():
    values = replace(LABELS, kind="fractions", distinct=90)
    assert [planned(found(size, values))[0].task.loss for size in (SOME - 1, SOME)] == ["gaussian", "mse"]


def test_several_classes_are_learnt_faster_than_two():
    several = planned(found(labels=replace(LABELS, distinct=4)))[0]
    assert (several.train.optimiser.lr, several.warmup.optimiser.weight_decay) == (1e-3, 1.0)
    assert planned(found())[0].train.optimiser.lr == 3e-4
    values = replace(LABELS, kind="fractions", distinct=90)
    assert planned(found(labels=values))[0].train.optimiser.lr == 3e-4


def test_only_very_many_samples_have_a_hidden_layer_and_validate_the_epoch():
    few, many = planned(found(SOME - 1))[0], planned(found(MANY))[0]
    assert (few.data.split.validation, many.data.split.validation) == (0.0, 0.1)
    assert (few.modalities["rna"].encoder.hidden, many.modalities["rna"].encoder.hidden) == ([], [256])
    assert many.train.select == "validation"


@pytest.mark.parametrize(
    ("kind", "count", "distinct", "task"),
    [
        ("names", 300, 2, "classification"),
        ("names", 300, 90, "classification"),
        ("fractions", 300, 5, "regression"),
        ("whole", 300, 2, "classification"),
        ("whole", 300, 20, "classification"),
        ("whole", 300, 21, "regression"),
        ("whole", 59, 20, "regression"),
    ],
)
def test_the_task_is_told_from_the_labels(kind, count, distinct, task):
    assert task_of(replace(LABELS, kind=kind, count=count, distinct=distinct))[0] == task


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [(0.1, 1.2, (0.0, 1.0)), (70.42, 9.87, (70.0, 9.9)), (5.0, 1.0, (5.0, 1.0)), (0.0, 123.0, (0.0, 120.0))],
)
def test_values_are_learnt_in_a_unit_that_suits_a_network(mean, deviation, expected):
    labels = replace(LABELS, kind="fractions", distinct=300, mean=mean, deviation=deviation)
    recipe, _ = planned(found(labels=labels))
    assert (recipe.task.centre, recipe.task.scale) == expected
    assert planned(found(labels=labels), "classification")[0].task.kind == "classification"


def test_groups_come_before_strata_and_a_given_split_before_both():
    grouped = replace(LABELS, group="patient", groups=20)
    given = replace(grouped, split="fold", split_names={"train": "train", "dev": "validation", "test": "test"})
    assert planned(found())[0].data.split.by == "stratified"
    assert planned(found(labels=grouped))[0].data.split.by == "group"
    split = planned(found(SOME, given))[0].data.split
    assert (split.by, split.names, split.validation) == ("given", {"dev": "validation"}, 0.0)


def test_only_missing_values_are_filled_in():
    assert planned(found())[0].data.impute == "refuse"
    recipe, made = planned(found(table=replace(TABLE, missing=0.02)))
    assert recipe.data.impute == "median"
    assert "rna 2 %" in made.reasons["impute"]


def test_information_is_estimated_on_components_of_wide_tables_and_not_at_all_from_few_samples():
    assert planned(found())[0].information.input == "auto"
    assert planned(found(table=replace(TABLE, width=20_000)))[0].information.input == "pca"
    assert planned(found(LEAST_INFORMED))[0].beta.policy == "lower"
    assert planned(found(LEAST_INFORMED - 1))[0].beta.policy == "value"


@pytest.mark.parametrize(
    ("kind", "width", "steps"),
    [
        ("numbers", 50, []),
        ("counts", 50, ["log1p"]),
        ("counts", 3000, ["library-size", "log1p"]),
        ("counts", 20_000, ["library-size", "log1p", "select"]),
        ("shares", 20_000, ["select"]),
    ],
)
def test_counts_become_logarithms_and_of_very_many_columns_some_are_kept(kind, width, steps):
    recipe, made = planned(found(table=replace(TABLE, kind=kind, width=width)))
    assert [step.kind for step in recipe.data.tables["rna"].preprocess] == steps
    assert ("preprocess rna" in made.reasons) is bool(steps)


def test_columns_that_are_no_features_are_excluded():
    table = replace(TABLE, suspicious={"row": "counts the rows"})
    recipe, made = planned(found(table=table))
    assert recipe.data.tables["rna"].exclude == ["row"]
    assert made.comments["data.tables.rna"] == "left out: row (counts the rows)"


def clips(count, **found):
    facts = ClipFacts("media", {name: f"{name}/{{id}}.x" for name in found}, None, found, count)
    labels = replace(LABELS, count=count, group="actor", groups=9)
    return Fingerprint(labels, (), facts, "id", count, count)


def test_clips_are_trained_on_for_as_many_steps_whatever_their_number():
    steps = []
    for count in (60, 700, 6000):
        recipe, _ = planned(clips(count, audio=count))
        assert recipe.modalities["audio"].encoder.kind == "resnet"
        steps.append(recipe.train.epochs * 0.8 * count / recipe.train.batch)
    assert min(steps) > 100
    assert max(steps) < 700
    assert steps == sorted(steps)


def test_clips_that_lack_a_modality_are_allowed_for_and_a_rare_modality_is_left_out():
    fingerprint = clips(100, audio=100, video=93)
    recipe, _ = planned(fingerprint)
    assert (list(recipe.modalities), recipe.data.tolerance) == (["audio", "video"], 0.07)
    assert planned(clips(100, audio=100))[0].data.tolerance == 0.02
    rare = replace(fingerprint, clips=replace(fingerprint.clips, found={"audio": 100}, left_out={"video": 3}))
    recipe, made = planned(rare)
    assert list(recipe.modalities) == ["audio"]
    assert "3 of 100" in made.reasons["video"]


def test_a_name_is_made_of_what_a_recipe_may_be_called():
    assert plain_name("my study (2)") == "my-study-2"
    assert plain_name("--") == "mine"


def test_text_of_few_categories_becomes_zeros_and_ones():
    recipe, made = planned(found(table=replace(TABLE, texts=("sex", "stage"))))
    assert recipe.data.tables["rna"].encode == {"sex": "onehot", "stage": "onehot"}
    assert "sex, stage" in made.reasons["text of rna"]
