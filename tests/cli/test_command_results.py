"""What commands put on stdout, and where they write."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from small import small_recipe, toy_dataset

from omib_cli.cli import app
from omib_cli.cli.console import show_error, show_json, show_result
from omib_cli.cli.progress import ConsoleProgress, PlainLines, ShownPhase
from omib_cli.errors import DataError
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
        ("evaluate", ["in/a.h5ad"], "in/report"),
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

    def record(*arguments, **_options):
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
    assert lines[3].startswith("train: 400 of at most 1,000 samples in 0:00, loss 0.5")


def test_quiet_shows_warnings_only(capsys):
    progress = ConsoleProgress(quiet=True)
    progress.begin("train", 10)
    progress.advance(10)
    progress.note("by the way")
    progress.end()
    progress.warn("beta is above its bound")
    assert capsys.readouterr().err == "warning:  beta is above its bound\n"


def test_the_rate_counts_what_this_run_did():
    phase = ShownPhase("train", 1000, "samples", done=900)
    phase.begun -= 10.0
    phase.done, phase.here = 950, 50
    assert phase.rate == pytest.approx(5.0, rel=0.01)
    assert phase.left == "0:10 left"


@pytest.mark.parametrize(
    ("here", "unit", "seconds", "expected"),
    [
        (5000, "samples", 2.0, "2,500 samples/s"),
        (30, "steps", 20.0, "1.5 steps/s"),
        (2, "runs", 250.0, "2:05 a run"),
        (1, "tables", 3.0, "0:03 a table"),
        (0, "runs", 60.0, ""),
    ],
)
def test_the_pace_of_slow_units_is_the_time_that_one_takes(here, unit, seconds, expected):
    phase = ShownPhase("grid", 10_000, unit, done=here, here=here)
    phase.begun -= seconds
    assert phase.pace == expected


def test_progress_says_the_epoch_and_what_validation_found():
    phase = ShownPhase("train", 500, "samples", done=0, epochs=5)
    assert phase.epoch == "epoch 1 of 5"
    for done, epoch in ((1, 1), (100, 1), (101, 2), (500, 5)):
        phase.done = done
        assert phase.epoch == f"epoch {epoch} of 5"
    phase.figures = {"loss": 0.5, "validation loss": 0.6}
    assert "epoch 5 of 5, loss 0.5, validation loss 0.6" in str(phase)


def test_figures_without_units_stand_until_there_are_newer_ones(capsys):
    progress = ConsoleProgress()
    progress._display = PlainLines(every=0.0)
    progress.begin("train", 100, epochs=2)
    progress.advance(50, loss=1.0)
    progress.advance(0, **{"validation loss": 2.0})
    progress.advance(25, loss=0.5)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("train: 75 of 100 samples (75 %), epoch 2 of 2")
    assert "loss 0.5, validation loss 2" in last


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """What takes the place of stderr within a test: a terminal that can do what most can."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    return Terminal()


def ended_early():
    progress = ConsoleProgress()
    progress.begin("H(x1)", 1000, "steps", epochs=10)
    progress.advance(80, nats=1.5)
    progress.end()
    progress.close()


def test_a_phase_that_needed_less_than_it_might_have_ends_as_done(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    ended_early()
    last = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").strip().splitlines()[-1]
    assert "100%" in last
    assert re.search(r"80 of at most 1,000 steps in 0:0\d, nats 1.5", last)
    assert "left" not in last
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    ended_early()
    assert re.fullmatch(r"H\(x1\): 80 of at most 1,000 steps in 0:0\d, nats 1.5\n", sys.stderr.getvalue())


@pytest.mark.parametrize("term", ["dumb", "DUMB", "unknown"])
def test_a_terminal_without_control_codes_gets_none(terminal, monkeypatch, term):
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", term)
    for force in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", force)
        ended_early()
        show_error(DataError("x", do="y"))
        ConsoleProgress().warn("z")
    assert "80 of at most 1,000 steps" in terminal.getvalue()
    assert "\033" not in terminal.getvalue()
    assert "\r" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "0"}, False),
        (True, {"NO_COLOR": "anything"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
    ids=str,
)
def test_labels_are_coloured_where_they_can_be_and_nobody_minds(
    terminal, monkeypatch, is_terminal, environment, expected
):
    stream = terminal if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    show_error(DataError("x"))
    assert ("\033" in stream.getvalue()) is expected
