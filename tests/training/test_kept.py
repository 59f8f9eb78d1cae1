"""Which weights are kept and what is reported of them: clipped, averaged, selected, resumed, validated alike."""

from __future__ import annotations

import json

import pytest
import torch
from small import small_recipe, toy_dataset
from test_loop import quiet, run_to_the_end

from omib_cli.artifacts.checkpoint import read_checkpoint
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.samples import read_split
from omib_cli.stages import train, warmup
from omib_cli.training.inference import dataset_facts
from omib_cli.training.model import build_model
from omib_cli.training.phases import main_phase, warmup_phase
from omib_cli.training.selection import Selection

CPU = torch.device("cpu")


def weights_of(out):
    return read_checkpoint(out, "model")[0]


def rows_of(out, phase="train"):
    rows = [json.loads(line) for line in out.with_suffix(".metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["phase"] == phase]


def moved(tmp_path, name, **phase):
    """How far one step of plain gradient descent moves the weights, at a rate of 1: the gradient's norm."""
    recipe = small_recipe(
        warmup={"epochs": 0},
        train={"epochs": 1, "batch": 1000, "optimiser": {"kind": "sgd", "lr": 1.0, "momentum": 0.0}, **phase},
    )
    dataset = toy_dataset(tmp_path / f"{name}.h5")
    train.run(recipe, dataset, tmp_path / f"{name}.safetensors", quiet())
    with Dataset(dataset) as data:
        before = build_model(recipe, dataset_facts(data), CPU).state_dict()
    after = weights_of(tmp_path / f"{name}.safetensors")
    return torch.cat([(after[key] - before[key]).flatten().double() for key in after]).norm().item()


def test_the_gradients_norm_is_no_larger_than_clip_says(tmp_path):
    free = moved(tmp_path, "free")
    assert free > 0.1
    assert moved(tmp_path, "clipped", clip=free / 3) == pytest.approx(free / 3, rel=1e-3)
    assert moved(tmp_path, "wide", clip=free * 3) == pytest.approx(free, rel=1e-4)


SELECTED = {"epochs": 12, "batch": 16, "optimiser": {"lr": 0.05}, "select": "validation"}


def test_the_best_epochs_weights_survive_an_interruption_after_it(tmp_path):
    dataset, recipe = toy_dataset(tmp_path / "d.h5"), small_recipe(warmup={"epochs": 0}, train=SELECTED)
    whole, pieces = tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"
    expected = train.run(recipe, dataset, whole, quiet()).hash
    best = next(row["epoch"] for row in rows_of(whole) if row["kept"])
    assert best < 11  # or the interruption would not come after it
    stops = [15 * (best + 1)]
    assert run_to_the_end(train, recipe, dataset, pieces, stops).hash == expected


def test_averaged_weights_are_what_is_kept_and_what_is_validated(tmp_path):
    """The kept weights give the validation loss that the log has of their epoch."""
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    recipe = small_recipe(
        warmup={"epochs": 0}, train={"epochs": 4, "batch": 16, "optimiser": {"lr": 0.05}, "average": 0.95}
    )
    train.run(recipe, dataset, out, quiet())
    with Dataset(dataset) as data:
        model = build_model(recipe, dataset_facts(data), CPU).eval()
        model.load_state_dict(weights_of(out))
        with torch.no_grad():
            found = main_phase(model, recipe).validate(read_split(data, "validation", CPU))
    assert found["loss"] == pytest.approx(rows_of(out)[-1]["validation/loss"], rel=1e-5)


def test_validation_sees_the_same_noise_in_every_epoch(tmp_path):
    """With a rate of almost nothing the weights stay, and so does the loss of a warm-up, which draws noise."""
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "w.safetensors"
    still = {"epochs": 3, "batch": 32, "optimiser": {"lr": 1e-12}}
    warmup.run(small_recipe(warmup=still), dataset, out, quiet())
    losses = [row["validation/loss"] for row in rows_of(out, "warmup")]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_of_equal_losses_the_first_epoch_is_kept():
    selection = Selection(small_recipe(train={**SELECTED, "patience": 2}).train)
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.0], start=1):
        assert not selection.over
        selection.see(epoch, loss, lambda epoch=epoch: {"epoch": torch.tensor(epoch)})
    assert selection.over
    kept, weights = selection.choose(4, dict)
    assert (kept, weights["epoch"].item()) == (2, 2)


@pytest.mark.parametrize("missing", [False, True])
def test_the_warm_ups_validation_loss_does_not_depend_on_how_inference_is_cut(tmp_path, missing, monkeypatch):
    recipe = small_recipe()
    with Dataset(toy_dataset(tmp_path / "d.h5", missing=missing)) as data:
        split = read_split(data, "validation", CPU)
        model = build_model(recipe, dataset_facts(data), CPU).eval()
    validate = warmup_phase(model, recipe).validate
    monkeypatch.setattr("omib_cli.nn.batch.Batch.randn", lambda self, like: torch.zeros_like(like))  # drawn by block
    losses = []
    for size in (1024, 7, 32):
        monkeypatch.setattr("omib_cli.data.samples.Samples.inference_batch", size)
        with torch.no_grad():
            losses.append(validate(split)["loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_draws_at_inference_do_not_depend_on_who_validates_which_block(tmp_path, monkeypatch):
    recipe = small_recipe(fusion={"method": "omib", "inference_samples": 3})
    with Dataset(toy_dataset(tmp_path / "d.h5")) as data:
        split = read_split(data, "validation", CPU)
        model = build_model(recipe, dataset_facts(data), CPU).eval()
    monkeypatch.setattr("omib_cli.data.samples.Samples.inference_batch", 20)
    blocks = list(split.batches(20))
    seen = []
    real = model.fuse
    monkeypatch.setattr(model, "fuse", lambda samples: seen.append(real(samples)) or seen[-1])
    with torch.no_grad():
        main_phase(model, recipe).validate(split)
        monkeypatch.setenv("WORLD_SIZE", "3")
        monkeypatch.setenv("RANK", "2")
        monkeypatch.setattr(
            "omib_cli.distributed.processes.all_gather", lambda value: [value, {0: seen[0].output, 1: seen[1].output}]
        )
        main_phase(model, recipe).validate(split)
    assert len(blocks) == 3
    assert torch.equal(seen[2].output, seen[3].output)  # the third block, alone and after the others
