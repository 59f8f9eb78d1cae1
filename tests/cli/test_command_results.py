"""What commands put on stdout, and where they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import small_recipe, toy_dataset

from omib_cli.cli import app
from omib_cli.cli.console import show_json, show_result
from omib_cli.cli.progress import ConsoleProgress, Phase, PlainLines
from omib_cli.stages.result import StageResult


@pytest.fixture
def omib(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; returns its stdout."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app.main(list(map(str, arguments)))
        shown = capsys.readouterr()
        assert end.value.code == 0, shown.err
        return shown.out

    return run


SMALL = ["simulate", "--dims", "a0=3,a1=3,a2=2,b0=1,b1=2,b2=2", "--samples", "200"]


def test_json_is_one_line_with_out_kind_hash_and_figures(omib):
    lines = omib(*SMALL, "--json").splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert list(found) == ["out", "kind", "hash", "figures", "already_there"]
    assert (found["out"], found["kind"], found["already_there"]) == ("sim-own.h5", "dataset", False)
    assert found["figures"]["samples"] == 200
    assert json.loads(omib(*SMALL, "--json")) == {**found, "already_there": True}


def test_simulated_data_is_decided_by_seed_and_recipe(omib):
    def made(*more):
        return json.loads(omib(*SMALL, "--json", "--fresh", *more))["hash"]

    assert made() == made()
    assert made("--seed", "1") != made()


def test_dims_of_three_modalities_make_three(omib):
    omib("simulate", "--dims", "a12=3,b33=2,a11=2,a00=2", "--samples", "50", "-o", "three.h5")
    assert list(json.loads(omib("inspect", "three.h5", "--json"))["modalities"]) == ["x1", "x2", "x3"]


def test_inspect_says_what_a_file_is_and_verifies_it(omib):
    omib(*SMALL)
    shown = omib("inspect", "sim-own.h5", "--verify")
    for part in ("kind", "dataset", "sim-own", "train 180, validation 0, test 20", "x1", "verified", "torch"):
        assert part in shown
    found = json.loads(omib("inspect", "sim-own.h5", "--json", "--verify"))
    assert found["modalities"]["x1"] == {"kind": "vector", "shape": [9]}
    assert found["recipe"]["data"]["samples"] == 200
    assert found["verified"] is True


@pytest.mark.parametrize("command", ["train", "warmup", "estimate-mi"])
def test_dry_run_takes_the_recipe_from_the_dataset_and_writes_nothing(omib, tmp_path, command):
    toy_dataset(tmp_path / "toy.h5")
    shown = omib(command, "toy.h5", "--dry-run", "--set", "train.epochs=77", "--set", "warmup.epochs=77")
    assert "small" in shown
    assert "nothing was done" in shown
    assert command == "estimate-mi" or "77 epochs" in shown
    found = json.loads(omib(command, "toy.h5", "--dry-run", "--json"))
    assert found["dry_run"] is True
    if command != "estimate-mi":  # a batch went through the network
        assert found["batch"] == 32
        assert found["parameters"]["x1"] == 6 * 16 + 16 + 16 * 8 + 8
    assert [path.name for path in tmp_path.iterdir()] == ["toy.h5"]


def test_dry_run_refuses_a_recipe_for_other_modalities(tmp_path, capsys):
    toy_dataset(tmp_path / "toy.h5")
    with pytest.raises(SystemExit) as end:
        app.main(["train", str(tmp_path / "toy.h5"), "--recipe", "sim-three", "--dry-run"])
    assert end.value.code == 4
    assert "x1, x2, x3" in capsys.readouterr().err


def test_dry_run_of_the_whole_chain_names_its_steps(omib, tmp_path):
    shown = omib("run", "sim-i", "--dry-run")
    for step in ("simulation", "warm-up", "estimate-mi", "train omib", "embed", "evaluate"):
        assert step in shown
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_the_whole_chain_passes_a_batch_where_there_is_a_dataset(omib, tmp_path):
    (tmp_path / "out").mkdir()
    toy_dataset(tmp_path / "out" / "dataset.h5")
    recipe = small_recipe().model_dump_json(exclude_unset=True)
    (tmp_path / "small.yaml").write_text(recipe)
    found = json.loads(omib("run", "small.yaml", "--out", "out", "--dry-run", "--json"))
    assert found["batch"] == 32
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset.h5"]


@pytest.mark.parametrize(
    ("command", "given", "made"),
    [
        ("warmup", ["in/d.h5"], "in/warmup.safetensors"),
        ("estimate_mi", ["in/d.h5"], "in/information.h5"),
        ("train", ["in/d.h5"], "in/model.safetensors"),
        ("embed", ["in/d.h5", "--model", "m.safetensors"], "in/embedding.h5ad"),
        ("evaluate", ["in/a.h5ad", "b.h5ad"], "in/report"),
        ("prepare", ["rosmap", "--input", "raw"], "rosmap.h5"),
        ("simulate", ["--case", "ii"], "sim-ii.h5"),
        ("run", ["sim-i"], "sim-i"),
    ],
)
def test_output_goes_beside_the_first_input_or_is_named_after_the_recipe(
    omib, tmp_path, monkeypatch, command, given, made
):
    from importlib import import_module

    stage = import_module(f"omib_cli.stages.{command}")
    seen = []

    def record(*arguments):
        seen.append([argument for argument in arguments if isinstance(argument, Path)])
        return StageResult(Path(made), "kind", "0" * 64)

    monkeypatch.setattr(stage, "run", record)
    (tmp_path / "in").mkdir()
    toy_dataset(tmp_path / "in/d.h5")
    omib(command.replace("_", "-"), *given)
    assert Path(made) in seen[0]
    omib(command.replace("_", "-"), *given, "-o", "elsewhere")
    assert Path("elsewhere") in seen[1]


def test_numbers_that_json_cannot_hold_become_null(capsys):
    import numpy as np

    show_json({"a": float("nan"), "b": np.float32(0.5), "c": [np.int64(3), float("inf")], "d": Path("x")})
    assert capsys.readouterr().out == '{"a": null, "b": 0.5, "c": [3, null], "d": "x"}\n'


def test_a_result_for_readers_has_path_kind_short_hash_and_figures(capsys):
    show_result(StageResult(Path("m.h5"), "model", "ab" * 32, {"loss": 0.12345, "epoch": 90}, True), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "m.h5  model abababababab  (done before, up to date)",
        "  loss   0.1235",
        "  epoch  90",
    ]


def test_progress_without_a_terminal_is_a_plain_line_now_and_then_on_stderr(capsys):
    progress = ConsoleProgress()
    progress._display = PlainLines(every=0.0)
    progress.begin("train", 1000, done=100)
    progress.advance(300, loss=0.5)
    progress.note("by the way")
    progress.end()
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0] == "train: continuing at 100 samples"
    assert lines[1].startswith("train: 400 of 1,000 samples (40 %)")
    assert "samples/s, loss 0.5" in lines[1]
    assert lines[1].endswith("left")
    assert lines[2] == "note:     by the way"
    assert lines[3].startswith("train: 400 samples in 0:00, loss 0.5")


def test_quiet_shows_warnings_only(capsys):
    progress = ConsoleProgress(quiet=True)
    progress.begin("train", 10)
    progress.advance(10)
    progress.note("by the way")
    progress.end()
    progress.warn("beta is above its bound")
    assert capsys.readouterr().err == "warning:  beta is above its bound\n"


def test_the_rate_counts_what_this_run_did():
    phase = Phase("train", 1000, "samples", done=900)
    phase.begun -= 10.0
    phase.done, phase.here = 950, 50
    assert phase.rate == pytest.approx(5.0, rel=0.01)
    assert phase.left == "0:10 left"
