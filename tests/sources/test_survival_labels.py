"""Labels of survival from tables: time and event as they are written, and what is refused of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from table_data import ROWS, frame, numbers, read, table_recipe, write_tables

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.load import recipe_from_values


def clinic(events=None, times=None) -> pd.DataFrame:
    """Ids, months and whether the event took place, of which every third row says so."""
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "id": [f"p{row:02d}" for row in range(ROWS)],
            "months": np.round(rng.exponential(20, ROWS) + 0.1, 2) if times is None else times,
            "dead": [row % 3 == 0 for row in range(ROWS)] if events is None else events,
            "split": ["test" if row % 4 == 0 else "train" for row in range(ROWS)],
        }
    )


def recipe(event: object = "dead", **data):
    section = {"files": "labels.csv", "id": "id", "column": "months", "event": event}
    return table_recipe("survival", labels=section | ({} if "split" in data else {"split": "split"}), **data)


def signed(folder, labels, event: object = "dead"):
    """The labels by id."""
    plan, block, source = read(write_tables(folder, labels=labels), recipe(event))
    return dict(zip(plan.ids, block.labels, strict=True)), source


@pytest.mark.parametrize(
    ("yes", "no", "event"),
    [
        (True, False, "dead"),
        ("TRUE", "FALSE", "dead"),
        (1, 0, {"column": "dead"}),
        (1.0, 0.0, "dead"),
        (2, 1, {"column": "dead", "of": 2}),
        ("DECEASED", "LIVING", {"column": "dead", "of": "DECEASED"}),
        ("1:DECEASED", "0:LIVING", {"column": "dead", "of": ["1:DECEASED"]}),
    ],
)
def test_a_label_is_the_time_with_a_sign_for_the_event(tmp_path, yes, no, event):
    labels = clinic([yes if row % 3 == 0 else no for row in range(ROWS)])
    found, source = signed(tmp_path, labels, event)
    for row, (name, months) in enumerate(zip(labels["id"], labels["months"], strict=True)):
        assert found[name] == (months if row % 3 == 0 else -months)
    assert not any("censored" in warning for warning in source.warnings)


def test_several_values_that_do_not_mean_the_event_are_said(tmp_path):
    labels = clinic([("DECEASED", "LIVING", "LOST")[row % 3] for row in range(ROWS)])
    found, source = signed(tmp_path, labels, {"column": "dead", "of": "DECEASED"})
    assert sum(value > 0 for value in found.values()) == len(range(0, ROWS, 3))
    assert any("'LIVING', 'LOST' count as censored" in warning for warning in source.warnings)


def test_a_sample_without_a_time_is_left_out_whatever_its_event(tmp_path):
    labels = clinic([str(int(row % 3 == 0)) for row in range(ROWS)])
    labels.loc[3, "months"] = np.nan
    labels.loc[3, "dead"] = ""
    found, _ = signed(tmp_path, labels)
    assert "p03" not in found
    assert len(found) == ROWS - 1


@pytest.mark.parametrize(
    ("change", "event", "said"),
    [
        ({"months": 0.0}, "dead", "times of zero or below"),
        ({"months": -3.0}, "dead", "times of zero or below"),
        ({"months": "long"}, "dead", "no finite number"),
        ({"dead": ""}, "dead", "samples without an event"),
        ({"dead": "NA"}, "dead", "samples without an event"),
        ({"dead": "DECEASED"}, "dead", "neither booleans nor 0 and 1"),
        ({"dead": "2"}, "dead", "neither booleans nor 0 and 1"),
        ({}, {"column": "dead", "of": "DECEASED"}, "a value of the event that no sample has"),
        ({}, "alive", "alive"),
    ],
)
def test_what_is_no_time_and_no_event_is_refused(tmp_path, change, event, said):
    labels = clinic().astype({"months": object, "dead": object})
    for column, value in change.items():
        labels.loc[5, column] = value
    with pytest.raises(DataError, match=said):
        signed(tmp_path, labels, event)


@pytest.mark.parametrize("censored", ["train", "test"])
def test_a_split_without_an_event_is_refused(tmp_path, censored):
    labels = clinic()
    labels.loc[labels["split"] == censored, "dead"] = False
    with pytest.raises(DataError, match=f"no event in the {censored} split: every sample is censored"):
        signed(tmp_path, labels)


def test_a_stratified_split_spreads_events(tmp_path):
    made = recipe(split={"by": "stratified", "test": 0.25, "validation": 0.25})
    plan, block, _ = read(write_tables(tmp_path, labels=clinic().drop(columns="split")), made)
    for code in range(len(fmt.SPLITS)):
        share = (block.labels[plan.split == code] > 0).mean()
        assert share == pytest.approx(14 / ROWS, abs=0.08)


@pytest.mark.parametrize("column", ["months", "dead"])
def test_neither_time_nor_event_is_a_feature_whatever_it_is_called(tmp_path, column):
    rna = frame(numbers(3), "r").assign(copied=clinic()[column].astype(float))
    folder = write_tables(tmp_path, rna=rna, labels=clinic())
    with pytest.raises(DataError, match="copied"):
        read(folder, recipe())
    rna = rna.rename(columns={"copied": column})
    plan, _, _ = read(write_tables(tmp_path, rna=rna, labels=clinic()), recipe())
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]


def values(**changes):
    """A recipe as plain values."""
    labels = {"files": "labels.csv", "column": "months", **changes.pop("labels", {"event": "dead"})}
    data = {"source": "tables", "tables": {"rna": {"files": "rna.csv"}}, "labels": labels}
    return {"name": "t", "data": data, "modalities": {"rna": {}}, "task": {"kind": "survival"}, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": {}}, "needs `data.labels.event`"),
        ({"task": {"kind": "regression"}}, "is for `task.kind: survival`, not regression"),
        ({"labels": {"event": "months"}}, "name the same column"),
        ({"labels": {"event": "dead", "group": "dead"}}, "name the same column"),
    ],
)
def test_a_recipe_that_does_not_fit_survival_is_refused(changes, said):
    with pytest.raises(RecipeError) as refused:
        recipe_from_values(values(**changes))
    assert any(said in problem for problem in refused.value.problems)


def test_selection_by_classes_is_refused(tmp_path):
    tables = {"rna": {"files": "rna.csv", "id": "id", "preprocess": [{"kind": "select", "by": "anova", "top": 2}]}}
    with pytest.raises(RecipeError) as refused:
        read(write_tables(tmp_path, labels=clinic()), recipe(tables=tables))
    assert "does not know of censoring" in refused.value.problems[0]
