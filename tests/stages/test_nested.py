"""Settings that are chosen inside each fold: what is written, and that a held-out fold chooses nothing."""

from __future__ import annotations

import json

import pytest
from tuning_data import omib, rows, spoil, words, write_all


@pytest.fixture
def files(tmp_path):
    """A recipe that is tuned in a moment, and its input."""
    return write_all(tmp_path)


def validate(files, out, *more):
    return omib(*words(files, out, "--folds", "2", "--references", "none", *more, command="cross-validate"))


def test_the_recipe_as_it_is_and_the_tuned_one_stand_side_by_side_with_the_optimism(files, tmp_path, capsys):
    assert validate(files, tmp_path / "out", "--tuned", "3", "--json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert [(row["variant"], row["runs"]) for row in table["rows"]] == [("omib", 2), ("omib-tuned", 2)]
    own = [row for row in rows(tmp_path / "out" / "rows.csv") if row["variant"] == "omib-tuned"]
    for row in own:
        gap = float(row["inner score"]) - float(row["accuracy"])
        assert float(row["optimism"]) == pytest.approx(gap)
        search = tmp_path / "out" / "rows" / "omib-tuned" / f"search-seed-0-fold-{row['fold']}-of-2" / "study.journal"
        assert search.exists()
    optimism = table["rows"][1]["extra"]["optimism"]
    assert optimism["mean"] == pytest.approx(sum(float(row["optimism"]) for row in own) / 2)
    assert any("omib-tuned: settings were chosen inside each fold" in note for note in table["notes"])
    held_out = rows(tmp_path / "out" / "rows" / "predictions.csv")
    predicted = [row["id"] for row in held_out if row["variant"] == "omib-tuned"]
    assert len(set(predicted)) == len(predicted) == 40


def chosen(out, fold):
    """What the search inside a fold tried and found, as its journal has it."""
    journal = out / "rows" / "omib-tuned" / f"search-seed-0-fold-{fold}-of-2" / "study.journal"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    told = ("params", "state", "values", "user_attr", "intermediate_value")
    found = [{key: line[key] for key in told if key in line} for line in lines]
    return [line for line in found if line and "seconds" not in line.get("user_attr", {})]


def test_a_marker_in_a_held_out_fold_changes_nothing_that_was_chosen(files, tmp_path):
    more = ("--tuned", "4", "--inner", "2")
    assert validate(files, tmp_path / "before", *more) == 0
    held = [row["id"] for row in rows(tmp_path / "before" / "rows" / "folds.csv") if row["fold"] == "1"]
    spoil(files[1], held)
    assert validate(files, tmp_path / "after", *more) == 0
    before, after = (chosen(tmp_path / name, 1) for name in ("before", "after"))
    assert before == after
    assert len([line for line in before if "params" in line]) == 4
    assert chosen(tmp_path / "before", 2) != chosen(tmp_path / "after", 2)  # there they were trained on
    predicted = [rows(tmp_path / name / "rows" / "predictions.csv") for name in ("before", "after")]
    assert predicted[0] != predicted[1]


def test_without_validation_samples_inner_folds_judge_and_that_is_said(tmp_path, capsys):
    recipe, raw = write_all(tmp_path, validation=0.0)
    given = words((recipe, raw), tmp_path / "out", "--folds", "2", "--tuned", "2", command="cross-validate")
    assert omib(*[word for word in given if word != "--quiet"]) == 0
    assert "judged by 3 inner folds" in capsys.readouterr().err
    assert len(list((tmp_path / "out").rglob("trial-000/*-inner-*-of-3"))) == 6


def test_a_collection_has_the_folds_whose_search_is_over(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert validate(files, out, "--tuned", "2") == 0
    capsys.readouterr()
    assert validate(files, out, "--tuned", "3", "--collect", "--json") == 0  # there are two trials of three
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert [row["variant"] for row in table["rows"]] == ["omib"]
    assert validate(files, out, "--tuned", "2", "--collect", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["tables"][0]["rows"]) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tuned", "1"], "choose nothing"),
        (["--tuned", "3", "--list"], "not known yet"),
        (["--inner", "2"], "--inner is of --tuned"),
        (["--tuned", "2", "--set", 'tune={"seed": {"low": 0, "high": 9}}'], "luck"),
    ],
)
def test_what_cannot_be_chosen_is_refused(files, tmp_path, capsys, more, said):
    assert validate(files, tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("run.json"))
