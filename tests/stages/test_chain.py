"""The whole chain, by hand and in one command: what is made, what is skipped, what does not fit together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import small_recipe, toy_dataset

from omib_cli.artifacts.catalogue import describe
from omib_cli.artifacts.checkpoint import read_checkpoint, read_header
from omib_cli.errors import DataError, Interrupted, MismatchError, StaleError
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import embed, estimate_mi, evaluate, run, train, warmup

CHEAP = {"epochs": 8, "seeds": 1, "batch": 32, "hidden": [32], "lr": 0.01, "least_steps": 1}


class Notes(Progress):
    def __init__(self):
        self.notes, self.warnings, self.phases = [], [], []

    def begin(self, phase, total, unit="samples", done=0, epochs=None):
        self.phases.append(phase)

    def note(self, message):
        self.notes.append(message)

    def warn(self, message):
        self.warnings.append(message)


def listening(**options):
    return Job(device="cpu", threads=1, command="test", progress=Notes(), **options)


def test_one_command_makes_the_whole_chain_and_the_same_again_does_nothing(tmp_path):
    recipe = small_recipe(beta={"policy": "uniform"}, information=CHEAP)
    first = run.run(recipe, None, tmp_path / "out", listening())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"dataset.h5", "information.h5", "warmup.safetensors", "model.safetensors", "embedding.h5ad"} <= names
    assert not [name for name in names if name.endswith(".partial")]
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert 0.0 <= report["runs"][0]["metrics"]["test"]["fused"]["accuracy"]["value"] <= 1.0
    again = listening()
    second = run.run(recipe, None, tmp_path / "out", again)
    assert second.hash == first.hash
    assert second.already_there
    assert again.progress.phases == []


def test_one_command_equals_the_stages_by_hand(tmp_path):
    recipe = small_recipe(beta={"policy": "midpoint"}, information=CHEAP)
    run.run(recipe, None, tmp_path / "out", listening())
    dataset = tmp_path / "out" / "dataset.h5"
    by_hand = train.run(recipe, dataset, tmp_path / "hand" / "model.safetensors", listening())
    assert by_hand.hash == describe(tmp_path / "out" / "model.safetensors").hash
    assert (tmp_path / "hand" / "information.h5").exists()
    assert (tmp_path / "hand" / "warmup.safetensors").exists()


def test_a_changed_recipe_makes_again_what_it_changes_and_nothing_else(tmp_path):
    run.run(small_recipe(), None, tmp_path / "out", listening())
    job = listening()
    run.run(small_recipe(train={"epochs": 1, "batch": 32}), None, tmp_path / "out", job)
    assert "warmup" not in job.progress.phases
    assert job.progress.phases[:2] == ["train", "embed"]
    assert any("train.epochs: 3 -> 1" in note for note in job.progress.notes)


def test_interrupted_chain_equals_uninterrupted(tmp_path):
    recipe = small_recipe(beta={"policy": "uniform"}, information=CHEAP)
    whole = run.run(recipe, None, tmp_path / "a", listening())

    class StopAfter(Progress):
        steps = 25

        def advance(self, count, **figures):
            self.steps -= 1
            if self.steps == 0:
                job.stop.set("test")

    for _ in range(40):
        job = Job(device="cpu", threads=1, command="test", progress=StopAfter())
        try:
            pieces = run.run(recipe, None, tmp_path / "b", job)
            break
        except Interrupted:
            continue
    assert pieces.hash == whole.hash


def test_a_model_made_otherwise_is_refused_with_the_difference(tmp_path):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "model.safetensors"
    train.run(small_recipe(), dataset, out, listening())
    before = describe(out).hash
    changed = small_recipe(train={"epochs": 4, "batch": 32, "optimiser": {"lr": 0.01}})
    with pytest.raises(StaleError) as caught:
        train.run(changed, dataset, out, listening())
    assert "train.epochs: 3 -> 4" in caught.value.got
    assert describe(out).hash == before
    train.run(changed, dataset, out, listening(fresh=True))
    assert describe(out).hash != before


def test_inputs_of_another_dataset_are_refused(tmp_path):
    one, two = toy_dataset(tmp_path / "one.h5"), toy_dataset(tmp_path / "two.h5", missing=True)
    foreign = warmup.run(small_recipe(), one, tmp_path / "w.safetensors", listening()).out
    with pytest.raises(MismatchError, match="another dataset"):
        train.run(small_recipe(), two, tmp_path / "m.safetensors", listening(), warmup=foreign)
    known = estimate_mi.run(small_recipe(information=CHEAP), one, tmp_path / "i.h5", listening()).out
    with pytest.raises(MismatchError, match="another dataset"):
        train.run(small_recipe(), two, tmp_path / "m.safetensors", listening(), information=known)


def test_files_of_another_kind_are_refused_before_anything_is_made(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    recipe = small_recipe(information=CHEAP, beta={"policy": "upper"})
    known = estimate_mi.run(recipe, dataset, tmp_path / "i.h5", listening()).out
    warm = warmup.run(recipe, dataset, tmp_path / "w.safetensors", listening()).out
    before = set(tmp_path.iterdir())
    for wrong in ({"warmup": known}, {"information": warm}, {"warmup": tmp_path}, {"information": tmp_path / "none"}):
        with pytest.raises(DataError):
            train.run(recipe, dataset, tmp_path / "m.safetensors", listening(), **wrong)
    with pytest.raises(DataError, match="wrong kind"):
        estimate_mi.run(recipe, dataset, tmp_path / "other.h5", listening(), warmup=known)
    assert set(tmp_path.iterdir()) == before


def test_a_recipe_for_other_modalities_or_another_task_is_refused(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    with pytest.raises(MismatchError, match="different modalities"):
        warmup.run(small_recipe(3), dataset, tmp_path / "w.safetensors", listening())
    with pytest.raises(MismatchError, match="different tasks"):
        warmup.run(small_recipe(task="regression"), dataset, tmp_path / "w.safetensors", listening())


def test_warmup_of_another_network_is_refused(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    wide = small_recipe(head={"hidden": 32})
    foreign = warmup.run(wide, dataset, tmp_path / "w.safetensors", listening()).out
    with pytest.raises(MismatchError, match="another network"):
        train.run(small_recipe(), dataset, tmp_path / "m.safetensors", listening(), warmup=foreign)


def test_training_starts_from_the_warmed_up_weights(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    frozen = small_recipe(train={"epochs": 1, "batch": 1000, "optimiser": {"kind": "sgd", "lr": 1e-12}})
    train.run(frozen, dataset, tmp_path / "m.safetensors", listening())
    warm, _ = read_checkpoint(tmp_path / "warmup.safetensors", "warmup")
    model, _ = read_checkpoint(tmp_path / "m.safetensors", "model")
    assert warm
    for name, value in warm.items():
        assert (model[name] - value).abs().max() < 1e-6, name


def test_beta_is_drawn_inside_its_bound_recorded_and_said_aloud_above_it(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    known = estimate_mi.run(small_recipe(information=CHEAP), dataset, tmp_path / "i.h5", listening()).out

    def beta(name, policy):
        job = listening()
        train.run(small_recipe(beta=policy), dataset, tmp_path / f"{name}.safetensors", job, information=known)
        return describe(tmp_path / f"{name}.safetensors").facts["beta"], job.progress.warnings

    drawn, warnings = beta("drawn", {"policy": "uniform"})
    assert drawn["lower"] <= drawn["value"] <= drawn["upper"]
    assert not any("above its upper bound" in warning for warning in warnings)
    high, warnings = beta("high", {"policy": "value", "value": 5.0})
    assert high["above"]
    assert any("above its upper bound" in warning for warning in warnings)


def test_collapse_grows_with_beta_as_the_objectives_bound_says(tmp_path):
    """Far above 1/(2M-1) the embedding keeps nothing; inside the bound it keeps the task."""
    dataset = toy_dataset(tmp_path / "d.h5")

    def validation(name, beta):
        options = {"epochs": 25, "batch": 32, "optimiser": {"lr": 0.01}}
        recipe = small_recipe(beta={"policy": "value", "value": beta}, train=options)
        train.run(recipe, dataset, tmp_path / f"{name}.safetensors", listening())
        rows = [json.loads(line) for line in (tmp_path / f"{name}.metrics.jsonl").read_text().splitlines()]
        return rows[-1]

    inside, outside = validation("inside", 0.02), validation("outside", 20.0)
    assert inside["validation/accuracy"] > outside["validation/accuracy"] + 0.1
    assert outside["kl/x1"] < 0.05 < inside["kl/x1"]


def test_one_modality_alone_is_a_plain_information_bottleneck(tmp_path):
    path, model = toy_dataset(tmp_path / "data.h5", 1), tmp_path / "model.safetensors"
    main = {"epochs": 30, "batch": 32, "optimiser": {"lr": 0.01}}
    recipe = small_recipe(1, train=main, beta={"policy": "midpoint"}, information=CHEAP)
    train.run(recipe, path, model, listening())
    embed.run(path, model, tmp_path / "embedding.h5ad", listening())
    found = evaluate.run([tmp_path / "embedding.h5ad"], tmp_path / "report", listening())
    assert found.figures["test/accuracy"] > 0.9
    trained = describe(model)
    assert trained.facts["beta"]["lower"] == trained.facts["beta"]["upper"]  # 1 / H(v): there is nothing to share
    assert not [name for row in trained.notes["history"] for name in row if name.startswith("r/")]


def test_without_warmup_epochs_the_bound_on_encodings_is_that_of_the_initial_ones(tmp_path):
    none = {"epochs": 0, "batch": 32}
    information = {**CHEAP, "input": "encodings"}
    recipe = small_recipe(beta={"policy": "uniform"}, information=information, warmup=none)
    run.run(recipe, None, tmp_path / "out", listening())
    trained = read_header(tmp_path / "out" / "model.safetensors")
    assert trained.facts["beta"]["lower"] < trained.facts["beta"]["upper"]
    assert trained.notes["history"][0]["phase"] == "train"
    dataset = tmp_path / "out" / "dataset.h5"
    alone = train.run(recipe, dataset, tmp_path / "alone.safetensors", listening())
    assert alone.hash == trained.hash


def test_what_is_in_the_way_of_an_implied_intermediate_comes_with_advice_that_helps(tmp_path):
    """A name of one's own for the model leaves warmup.safetensors where it is: another folder does not."""
    dataset = toy_dataset(tmp_path / "d.h5")
    warmup.run(small_recipe(warmup={"epochs": 1, "batch": 32}), dataset, tmp_path / "warmup.safetensors", listening())
    for obstacle in ("another recipe", "a damaged file", "a folder"):
        if obstacle != "another recipe":
            (tmp_path / "warmup.safetensors").unlink()
            (tmp_path / "warmup.safetensors").touch() if obstacle == "a damaged file" else None
        if obstacle == "a folder":
            (tmp_path / "warmup.safetensors").mkdir()
        for out in ("one.safetensors", "two.safetensors"):
            with pytest.raises((StaleError, DataError)) as caught:
                train.run(small_recipe(), dataset, tmp_path / out, listening())
            assert Path(caught.value.where).name == "warmup.safetensors"
            assert "-o in another folder" in caught.value.do
    train.run(small_recipe(), dataset, tmp_path / "other" / "one.safetensors", listening())
