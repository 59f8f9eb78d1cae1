"""Grids of runs: which cells there are, what a killed grid keeps, what a failed cell leaves."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import yaml
from small import small_recipe

from omib_cli.cli import app
from omib_cli.errors import UsageError
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.load import load_recipe
from omib_cli.stages.grid import cells_of
from omib_cli.stages.variants import ABLATIONS, geometric, methods_and_ablations, swept


@pytest.fixture
def recipe(tmp_path):
    """A file of a recipe that runs in seconds and estimates its bound at no cost."""
    path = tmp_path / "small.yaml"
    values = small_recipe(beta={}, information={"estimator": "saturation"}).resolved()
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def variants(path, methods=("all",), ablations=("all",)):
    return methods_and_ablations(load_recipe(path), methods, ablations)


def test_all_methods_and_ablations_are_valid_recipes_of_the_same_data(recipe, tmp_path):
    cells = cells_of(str(recipe), variants(recipe), range(2), tmp_path)
    assert [cell.variant.name for cell in cells[: len(cells) // 2]] == [*FUSIONS, *ABLATIONS]
    assert len({cell.folder for cell in cells}) == len(cells) == 2 * (len(list(FUSIONS)) + len(ABLATIONS))
    assert {cell.recipe.hash("dataset") for cell in cells if cell.seed == 0} == {cells[0].recipe.hash("dataset")}


def test_without_warmup_the_epochs_are_as_many_as_before(recipe):
    whole = load_recipe(recipe)
    (variant,) = variants(recipe, (), ("without-warmup",))
    assert variant.overrides["train.epochs"] == whole.warmup.epochs + whole.train.epochs
    assert variant.overrides["warmup.epochs"] == 0


@pytest.mark.parametrize(
    ("methods", "ablations", "word"), [(["conact"], [], "concat"), ([], ["without-attn"], "without-attention")]
)
def test_a_misspelt_name_is_refused_with_a_guess(recipe, methods, ablations, word):
    with pytest.raises(UsageError, match=f"did you mean '{word}'"):
        variants(recipe, methods, ablations)


def test_a_range_is_in_equal_ratios_and_ends_where_it_says():
    values = geometric("1e-6:10:8")
    assert (values[0], values[-1], len(values)) == (1e-6, 10.0, 8)
    assert [b / a for a, b in pairwise(values)] == pytest.approx([10.0] * 7)


@pytest.mark.parametrize("text", ["1:2", "0:1:3", "2:1:3", "1:2:1", "a:b:c"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(UsageError, match="no range"):
        geometric(text)


def test_a_sweep_keeps_the_recipe_as_it_is_beside_the_values(recipe, tmp_path):
    cells = cells_of(str(recipe), swept("0.01:1:3", None), [0], tmp_path)
    assert [cell.recipe.beta.value for cell in cells] == [None, 0.01, 0.1, 1.0]
    words = cells_of(str(recipe), swept(None, "fusion.routing=joint,routed"), [0], tmp_path)
    assert [cell.recipe.fusion.routing for cell in words[1:]] == ["joint", "routed"]
    with pytest.raises(UsageError, match="what is to be swept"):
        swept(None, None)


def compare(recipe, out, *more):
    words = ["compare", str(recipe), "--methods", "omib,concat,film", "--seeds", "2", "--out", str(out), "--jobs", "2"]
    return [sys.executable, "-m", "omib_cli", *words, *more]


def records(out):
    found = {path.parent: json.loads(path.read_text()) for path in out.rglob("run.json")}
    return {folder: record for folder, record in found.items() if record["state"] == "done"}


@pytest.mark.timeout(900)  # twelve processes, each of which imports torch
def test_a_killed_grid_goes_on_without_repeating_what_is_done(recipe, tmp_path):
    out = tmp_path / "grid"
    process = subprocess.Popen(compare(recipe, out, "--quiet"), start_new_session=True)
    while process.poll() is None and not (early := records(out)):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(early) < 6
    made = {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in early}
    found = subprocess.run(compare(recipe, out, "--json"), capture_output=True, text=True, check=True)
    table = json.loads(found.stdout)
    assert (len(records(out)), table["missing"]) == (6, 0)
    assert [row["runs"] for row in table["tables"][0]["rows"]] == [2, 2, 2]
    assert {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in early} == made
    assert len(list((out / "shared").glob("dataset-*.h5"))) == 2  # one for each seed, not for each run
    assert {path.suffix for path in out.glob("small.*")} == {".md", ".json", ".csv", ".png"}


def test_a_grid_that_is_asked_to_stop_has_its_runs_save_their_state(recipe, tmp_path):
    out = tmp_path / "grid"
    words = [*compare(recipe, out, "--quiet", "--set", "train.epochs=100000"), "--jobs", "1"]
    process = subprocess.Popen(words)
    while process.poll() is None and not list(out.rglob("warmup.safetensors")):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    (record,) = (json.loads(path.read_text()) for path in out.rglob("run.json"))
    assert record["state"] == "stopped"
    assert list(out.rglob("model.safetensors.partial/state.safetensors"))


def test_a_failed_cell_is_shown_with_its_reason_beside_the_others(recipe, tmp_path, capsys):
    words = ["compare", str(recipe), "--methods", "concat", "--seeds", "1", "--out", str(tmp_path / "grid"), "--quiet"]
    with pytest.raises(SystemExit) as end:
        app.main([*words, "--set", "train.optimiser.lr=1e30"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "concat: seed 0: failed (training diverged" in shown


def test_the_list_is_a_command_for_each_cell_and_collect_says_what_is_missing(recipe, tmp_path, capsys):
    out = tmp_path / "grid"
    words = ["compare", str(recipe), "--methods", "concat,film", "--seeds", "1", "--out", str(out)]
    with pytest.raises(SystemExit):
        app.main([*words, "--list"])
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [["omib", "run"]] * 2
    with pytest.raises(SystemExit):
        app.main([*words, "--list", "--jobs", "2", "--memory", "2G"])
    assert capsys.readouterr().out.count("--memory 1024M") == 2  # what runs at a time may take, divided among them
    with pytest.raises(SystemExit) as end:
        app.main(lines[0][1:])
    assert end.value.code == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        app.main([*words, "--collect", "--json"])
    table = json.loads(capsys.readouterr().out)["tables"][0]
    assert [row["runs"] for row in table["rows"]] == [1, 0]
    assert table["rows"][1]["missing"] == ["seed 0: not run yet"]
