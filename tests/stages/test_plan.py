"""What is decided before anything is made: the steps, the files that they start from, the dataset opened once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import h5py
import pytest
from small import small_recipe, toy_dataset

from omib_cli.artifacts.dataset import Dataset
from omib_cli.cli import app
from omib_cli.errors import MismatchError
from omib_cli.runtime.job import Job
from omib_cli.stages import estimate_mi, run, train, warmup

CHEAP = {"estimator": "saturation", "seeds": 1}


@pytest.fixture
def openings(monkeypatch):
    """How often HDF5 files have been opened for reading, by their names."""
    counts, real = Counter(), h5py.File.__init__

    def counting(self, name, mode="r", *arguments, **options):
        if isinstance(name, (str, Path)) and mode == "r":
            counts[Path(name).name] += 1
        real(self, name, mode, *arguments, **options)

    monkeypatch.setattr(h5py.File, "__init__", counting)
    return counts


def omib(*arguments):
    with pytest.raises(SystemExit) as end:
        app.main([*map(str, arguments), "--quiet"])
    assert end.value.code == 0


def settings(**sections):
    return [word for name, value in sections.items() for word in ("--set", f"{name}={json.dumps(value)}")]


@pytest.mark.parametrize("source", ["auto", "encodings"])
def test_the_dataset_is_opened_once_for_the_whole_of_training(tmp_path, openings, source):
    """By the recipe, the checks, warm-up, estimation and training together."""
    toy_dataset(tmp_path / "d.h5")
    openings.clear()
    options = settings(beta={"policy": "uniform"}, information={**CHEAP, "input": source})
    omib("train", tmp_path / "d.h5", *options)
    assert openings["d.h5"] == 1
    openings.clear()
    made = ["--warmup", tmp_path / "warmup.safetensors", "--information", tmp_path / "information.h5"]
    omib("train", tmp_path / "d.h5", "-o", tmp_path / "again.safetensors", *made, *options)
    assert openings["d.h5"] == 1


@pytest.mark.parametrize("command", ["warmup", "estimate-mi", "train"])
@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_every_stage_opens_its_dataset_once(tmp_path, openings, command, dry):
    toy_dataset(tmp_path / "d.h5")
    openings.clear()
    omib(command, tmp_path / "d.h5", *settings(information=CHEAP), *dry)
    assert openings["d.h5"] == 1


def test_the_chain_opens_its_dataset_for_training_for_the_embedding_and_for_the_reports_references(tmp_path, openings):
    recipe = small_recipe(beta={"policy": "uniform"}, information=CHEAP)
    run.run(recipe, None, tmp_path / "out", Job(device="cpu", threads=1))
    assert openings["dataset.h5"] == 3  # the test split is behind a door that training does not open


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"beta": {"policy": "uniform"}},
        {"beta": {"policy": "uniform"}, "information": {**CHEAP, "input": "encodings"}, "warmup": {"epochs": 0}},
        {"fusion": {"method": "concat"}},
        {"warmup": {"epochs": 0}},
    ],
)
def test_a_dry_run_names_what_is_then_made(tmp_path, capsys, sections):
    dataset = toy_dataset(tmp_path / "d.h5")
    options = settings(**{"information": CHEAP, **sections})
    omib("train", dataset, *options, "--dry-run", "--json")
    steps = json.loads(capsys.readouterr().out)["steps"]
    omib("train", dataset, *options)
    made = {path for path in tmp_path.iterdir() if not path.name.endswith(".jsonl")} - {dataset}
    assert {Path(step.partition(" -> ")[2]) for step in steps} == made


def test_a_dry_run_of_the_chain_names_what_is_then_made_before_there_is_a_dataset(tmp_path):
    recipe = small_recipe(beta={"policy": "uniform"}, information={**CHEAP, "input": "encodings"})
    job, folder = Job(device="cpu", threads=1), tmp_path / "out"
    steps, trial = run.rehearse(recipe, None, folder, job)
    assert trial is None
    assert not folder.exists()
    run.run(recipe, None, folder, job)
    assert all(step.out.exists() for step in steps)
    again, trial = run.rehearse(recipe, None, folder, job)
    assert [str(step) for step in again] == [str(step) for step in steps]
    assert trial["batch"] == 32


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize("command", ["train", "estimate-mi"])
def test_a_checkpoint_of_another_dataset_is_refused_by_whoever_starts_from_it(tmp_path, capsys, command, dry):
    job = Job(device="cpu", threads=1)
    one, two = toy_dataset(tmp_path / "one.h5"), toy_dataset(tmp_path / "two.h5", missing=True)
    foreign = warmup.run(small_recipe(), one, tmp_path / "w.safetensors", job).out
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit) as end:
        app.main([command, str(two), "--warmup", str(foreign), *dry])
    assert end.value.code == MismatchError.exit_code
    assert "made from another dataset" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_an_open_dataset_stays_open_and_gives_what_its_path_gives(tmp_path):
    path, recipe = toy_dataset(tmp_path / "d.h5"), small_recipe(information=CHEAP)
    job = Job(device="cpu", threads=1)
    with Dataset(path) as data:
        for stage, name in ((warmup, "w.safetensors"), (estimate_mi, "i.h5"), (train, "m.safetensors")):
            (tmp_path / "alone").mkdir(exist_ok=True)
            ours = stage.run(recipe, data, tmp_path / name, job)
            assert stage.run(recipe, path, tmp_path / "alone" / name, job).hash == ours.hash
        assert len(data.ids(data.rows("train"))) == 240


def test_a_loss_that_nobody_can_scale_is_refused_before_the_warm_up(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    recipe = small_recipe(fusion={"method": "omib", "task_scale": "joint-information"})  # and beta is given
    with pytest.raises(MismatchError, match="task_scale"):
        train.run(recipe, dataset, tmp_path / "m.safetensors", Job(device="cpu", threads=1))
    assert [path.name for path in tmp_path.iterdir()] == ["d.h5"]
