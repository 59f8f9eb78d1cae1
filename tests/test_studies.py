"""The studies that come with omib, and what a study of one's own does: cells, printed values, notes."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from real import REPOSITORY
from small import small_recipe

from omib_cli.cli import app
from omib_cli.errors import RecipeError, UsageError
from omib_cli.evaluation.comparison import COLUMNS
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.load import bundled_text, load_recipe, load_study, studies
from omib_cli.stages.variants import ABLATIONS, known, methods_and_ablations, swept

NAMES = list(studies())
SUBVECTORS = {"a0", "a1 a2", "x1", "x2", "a0 a1 a2", "x1 x2"}


def test_the_studies_are_those_of_the_checkout():
    assert {path.stem for path in (REPOSITORY / "recipes" / "studies").glob("*.yaml")} == set(NAMES)
    assert {"table-2", "table-3", "table-4", "table-5", "table-6", "figure-3"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_bears_its_name_starts_with_its_command_and_has_valid_cells(name):
    study = load_study(name)
    assert study.study == name
    assert bundled_text(name).startswith(f"# omib {study.command} {name}")
    for recipe in map(load_recipe, study.recipes):
        if study.command == "sweep":
            assert len(swept(study.beta, study.vary)) > 2
        else:
            assert methods_and_ablations(recipe, study.methods, study.ablations)


@pytest.mark.parametrize("name", NAMES)
def test_printed_values_are_of_its_recipes_of_metrics_and_rows_that_exist_and_shares(name):
    study = load_study(name)
    rows = {*known(study.methods, list(FUSIONS), "method"), *known(study.ablations, ABLATIONS, "ablation")}
    assert set(study.printed) <= set(study.recipes)
    for metrics in study.printed.values():
        assert set(metrics) <= {*COLUMNS, "f1_nonzero"}
        for values in metrics.values():
            assert set(values) <= rows | SUBVECTORS
            assert all(0 < value < 1 for value in values.values())


@pytest.fixture
def study(tmp_path):
    """A study of a recipe that runs in seconds."""
    values = small_recipe(beta={}, information={"estimator": "saturation"}).resolved()
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    path = tmp_path / "own.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "study": "own",
                "recipes": [str(tmp_path / "small.yaml")],
                "methods": ["concat", "film"],
                "seeds": 1,
                "printed": {"small": {"accuracy": {"concat": 0.625, "a0": 0.5625}}},
                "notes": ["A note of the study."],
            }
        ),
        encoding="utf-8",
    )
    return path


def run(capsys, *words):
    with pytest.raises(SystemExit) as end:
        app.main([*map(str, words)])
    return end.value.code, capsys.readouterr()


def test_a_study_brings_methods_seeds_printed_values_and_notes(study, tmp_path, capsys):
    name = load_recipe(tmp_path / "small.yaml").name
    study.write_text(study.read_text().replace("small:\n", f"{name}:\n"))
    code, shown = run(capsys, "compare", study, "--out", tmp_path / "grid", "--reference", "concat", "--quiet")
    assert code == 0
    concat, film = (line for line in shown.out.splitlines() if line.startswith(("| concat", "| film")))
    assert " 0.625 " in concat
    assert "–" in film
    assert "- A note of the study." in shown.out
    table = json.loads((tmp_path / "grid" / f"{name}.json").read_text())
    assert table["printed"]["accuracy"]["concat"] == 0.625
    assert [row["runs"] for row in table["rows"]] == [1, 1]
    at_best = {row: values["bayes"]["mean"] for row, values in table["subvectors"].items()}
    assert 0.5 < at_best["a0"] < at_best["a0 a1 a2"] == 1.0
    assert next(line for line in shown.out.splitlines() if line.startswith("| a0 |")).endswith("| 0.562 |")


def test_options_and_recipes_after_a_study_take_the_place_of_its_own(study, tmp_path, capsys):
    words = ["compare", study, "sim-i", "sim-ii", "--methods", "dmib", "--seeds", "2", "--list"]
    lines = [shlex.split(line) for line in run(capsys, *words)[1].out.splitlines()]
    assert [line[2] for line in lines] == ["sim-i", "sim-i", "sim-ii", "sim-ii"]
    assert all('fusion={"method": "dmib"}' in line for line in lines)


def test_a_study_of_the_other_command_is_pointed_there(capsys):
    code, shown = run(capsys, "compare", "figure-3")
    assert code == UsageError.exit_code
    assert "omib sweep figure-3" in shown.err


def test_a_study_is_no_recipe(capsys):
    code, shown = run(capsys, "run", "table-2")
    assert code == UsageError.exit_code
    assert "table-2 is a study" in shown.err


def test_a_wrong_key_is_reported_with_its_line_and_a_guess(study):
    study.write_text(study.read_text().replace("seeds:", "seed:"))
    with pytest.raises(RecipeError) as caught:
        load_study(str(study))
    assert "own.yaml:" in str(caught.value.problems)
    assert "did you mean 'seeds'" in str(caught.value.problems)
