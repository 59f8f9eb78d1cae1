"""The training loop: exact continuation, selection, schedules, averaging, divergence."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import torch
from small import small_recipe, toy_dataset, write_dataset

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_checkpoint
from omib_cli.artifacts.partial import pack, unpack
from omib_cli.errors import DataError, Interrupted, MismatchError, NumericError
from omib_cli.recipe.phases import OptimiserOptions, ScheduleOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import train, warmup
from omib_cli.training.averaging import WeightAverage
from omib_cli.training.schedule import make_optimiser, rate_factor


class StopAfter(Progress):
    """Asks for a stop after so many steps, as a signal would."""

    def __init__(self, steps):
        self.steps, self.job = steps, None

    def advance(self, count, **figures):
        self.steps -= 1
        if self.steps == 0:
            self.job.stop.set("test")


def quiet():
    return Job(device="cpu", threads=1, command="test")


def stopping(steps):
    progress = StopAfter(steps)
    job = Job(device="cpu", threads=1, command="test", progress=progress)
    progress.job = job
    return job


def run_to_the_end(stage, recipe, dataset, out, stops):
    """Run a stage, interrupted after each of ``stops`` steps, until it is done."""
    for steps in stops:
        with pytest.raises(Interrupted) as caught:
            stage.run(recipe, dataset, out, stopping(steps))
        assert caught.value.exit_code == 75
        assert not out.exists()
    return stage.run(recipe, dataset, out, quiet())


PHASES = {
    "plain": {},
    "averaged, selected": {"average": 0.9, "select": "validation", "patience": 4},
    "sgd, cosine, clipped": {
        "optimiser": {"kind": "sgd", "lr": 0.1},
        "schedule": {"kind": "cosine", "warmup_steps": 5},
        "clip": 0.5,
    },
}


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_interrupted_warmup_equals_uninterrupted(tmp_path, phase):
    recipe = small_recipe(warmup={"epochs": 3, "batch": 32, **phase})
    dataset = toy_dataset(tmp_path / "d.h5")
    whole = warmup.run(recipe, dataset, tmp_path / "a.safetensors", quiet())
    pieces = run_to_the_end(warmup, recipe, dataset, tmp_path / "b.safetensors", stops=[3, 5, 1, 7])
    assert pieces.hash == whole.hash
    assert not (tmp_path / "b.safetensors.partial").exists()


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_interrupted_training_equals_uninterrupted(tmp_path, phase):
    encoder = {"kind": "mlp", "hidden": [16], "width": 8, "dropout": 0.3}
    recipe = small_recipe(
        modalities={"x1": {"encoder": encoder}, "x2": {"encoder": encoder}},
        train={"epochs": 3, "batch": 32, **phase},
        warmup={"epochs": 0},
        fusion={"method": "omib", "r_momentum": 0.5},
    )
    dataset = toy_dataset(tmp_path / "d.h5", missing=True)
    whole = train.run(recipe, dataset, tmp_path / "a.safetensors", quiet())
    pieces = run_to_the_end(train, recipe, dataset, tmp_path / "b.safetensors", stops=[2, 6, 9])
    assert pieces.hash == whole.hash
    rows = [json.loads(line) for line in (tmp_path / "b.metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_another_seed_gives_another_model(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    hashes = {
        seed: warmup.run(small_recipe(seed=seed), dataset, tmp_path / f"{name}.safetensors", quiet()).hash
        for name, seed in (("a", 0), ("b", 1))
    }
    assert hashes[0] != hashes[1]


def test_the_model_memorises_a_few_samples(tmp_path):
    """Must over-fit: 40 samples with random labels are learned by heart."""
    torch.manual_seed(0)
    values = {"x1": torch.randn(60, 6).numpy(), "x2": torch.randn(60, 6).numpy()}
    labels = (torch.rand(60) > 0.5).double().numpy()
    dataset = write_dataset(tmp_path / "d.h5", values, labels, torch.tensor([0] * 40 + [2] * 20).numpy())
    recipe = small_recipe(
        beta={"policy": "value", "value": 1e-6},
        warmup={"epochs": 0},
        train={"epochs": 80, "batch": 20, "optimiser": {"lr": 0.01}},
    )
    train.run(recipe, dataset, tmp_path / "m.safetensors", quiet())
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    assert rows[0]["task"] > 0.5
    assert rows[-1]["task"] < 0.05


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("count", [2, 3])
def test_training_lowers_the_validation_loss_for_any_number_of_modalities(tmp_path, task, count):
    dataset = toy_dataset(tmp_path / "d.h5", count, task)
    recipe = small_recipe(count, task, train={"epochs": 8, "batch": 32, "optimiser": {"lr": 0.01}})
    train.run(recipe, dataset, tmp_path / "m.safetensors", quiet())
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    main = [row for row in rows if row["phase"] == "train"]
    assert main[-1]["validation/loss"] < main[0]["validation/loss"]
    assert {f"r/x{i}" for i in range(2, count + 1)} <= set(main[0])


def test_selection_keeps_the_epoch_with_the_lowest_validation_loss(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    recipe = small_recipe(train={"epochs": 12, "batch": 16, "optimiser": {"lr": 0.05}, "select": "validation"})
    train.run(recipe, dataset, tmp_path / "m.safetensors", quiet())
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    main = [row for row in rows if row["phase"] == "train"]
    lowest = min(main, key=lambda row: row["validation/loss"])
    assert [row["epoch"] for row in main if row["kept"]] == [lowest["epoch"]]
    assert read_checkpoint(tmp_path / "m.safetensors", "model")[1].facts["epoch"] == lowest["epoch"]


def test_patience_ends_training_early(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    options = {"epochs": 60, "batch": 16, "optimiser": {"lr": 0.1}, "select": "validation", "patience": 2}
    train.run(small_recipe(train=options), dataset, tmp_path / "m.safetensors", quiet())
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    main = [row for row in rows if row["phase"] == "train"]
    best = next(row["epoch"] for row in main if row["kept"])
    assert len(main) == best + 2 < 60


def test_selection_without_a_validation_split_is_refused(tmp_path):
    values = {"x1": torch.randn(20, 3).numpy(), "x2": torch.randn(20, 3).numpy()}
    split = torch.tensor([0] * 15 + [2] * 5).numpy()
    dataset = write_dataset(tmp_path / "d.h5", values, (torch.arange(20) % 2).numpy(), split)
    with pytest.raises(MismatchError, match="no validation split"):
        train.run(
            small_recipe(train={"epochs": 1, "select": "validation"}), dataset, tmp_path / "m.safetensors", quiet()
        )
    assert [path.name for path in tmp_path.iterdir()] == ["d.h5"]  # refused before warm-up, not after it


def test_divergence_is_named_with_phase_and_step(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5", task="regression")
    recipe = small_recipe(task="regression", warmup={"epochs": 3, "optimiser": {"kind": "sgd", "lr": 1e6}})
    with pytest.raises(NumericError) as caught:
        warmup.run(recipe, dataset, tmp_path / "w.safetensors", quiet())
    assert "trb/x1" in caught.value.what
    assert "phase warmup, epoch 1" in caught.value.where
    assert caught.value.exit_code == 5
    assert not (tmp_path / "w.safetensors").exists()


def test_one_class_or_one_sample_is_refused(tmp_path):
    values = {"x1": torch.randn(12, 3).numpy(), "x2": torch.randn(12, 3).numpy()}
    split = torch.tensor([0] * 10 + [2] * 2).numpy()
    single = write_dataset(tmp_path / "one.h5", values, torch.zeros(12).numpy(), split)
    with pytest.raises(DataError, match="same label"):
        warmup.run(small_recipe(), single, tmp_path / "w.safetensors", quiet())
    lonely = write_dataset(
        tmp_path / "lonely.h5", values, (torch.arange(12) % 2).numpy(), torch.tensor([0] + [2] * 11).numpy()
    )
    with pytest.raises(DataError, match="too few samples"):
        warmup.run(small_recipe(), lonely, tmp_path / "w.safetensors", quiet())


@pytest.mark.parametrize("value", [math.nan, 7.0, 0.5])
def test_labels_out_of_range_are_named_with_the_row(tmp_path, value):
    values = {"x1": torch.randn(12, 3).numpy(), "x2": torch.randn(12, 3).numpy()}
    labels = (torch.arange(12) % 2).double().numpy()
    labels[3] = value
    dataset = write_dataset(tmp_path / "d.h5", values, labels, torch.tensor([0] * 10 + [2] * 2).numpy())
    with pytest.raises(DataError, match="label out of range") as caught:
        warmup.run(small_recipe(), dataset, tmp_path / "w.safetensors", quiet())
    assert "row 3" in caught.value.where


def test_nan_in_a_modality_is_named_with_the_row(tmp_path):
    values = {"x1": torch.randn(12, 3).numpy(), "x2": torch.randn(12, 3).numpy()}
    values["x2"][5, 1] = math.nan
    dataset = write_dataset(
        tmp_path / "d.h5", values, (torch.arange(12) % 2).numpy(), torch.tensor([0] * 10 + [2] * 2).numpy()
    )
    with pytest.raises(DataError) as caught:
        warmup.run(small_recipe(), dataset, tmp_path / "w.safetensors", quiet())
    assert "x2" in caught.value.where
    assert "row 5" in caught.value.where


def test_schedules_by_hand():
    step = ScheduleOptions(kind="step", every=2, factor=0.1)
    assert [rate_factor(step, s, 5, 6) for s in (0, 9, 10, 20)] == pytest.approx([1.0, 1.0, 0.1, 0.01])
    cosine = ScheduleOptions(kind="cosine", warmup_steps=4)
    assert rate_factor(cosine, 0, 10, 10) == pytest.approx(0.25)
    assert rate_factor(cosine, 50, 10, 10) == pytest.approx(0.5)
    assert rate_factor(cosine, 100, 10, 10) == pytest.approx(0.0)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_the_optimiser_is_torchs_bit_for_bit_with_late_gradients_changing_rates_and_a_resume(kind):
    def network():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3), torch.nn.Linear(5, 2))

    ours, theirs = network(), network()
    options = OptimiserOptions(kind=kind, lr=0.1, weight_decay=0.05)
    groups = [{"params": list(ours[:3].parameters()), "lr": 0.1}, {"params": list(ours[3].parameters()), "lr": 0.02}]
    own = make_optimiser(options, groups)
    made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": partial(torch.optim.SGD, momentum=0.9)}[kind]
    same = [{"params": list(theirs[:3].parameters())}, {"params": list(theirs[3].parameters()), "lr": 0.02}]
    known = made(same, lr=0.1, weight_decay=0.05, fused=True)
    x = torch.randn(11, 5)
    for step in range(6):
        for model, optimiser in ((ours, own), (theirs, known)):
            optimiser.zero_grad()
            loss = model[:3](x).square().mean() + (model[3](x).square().mean() if step > 1 else 0.0)
            loss.backward()
            optimiser.step()
        own.param_groups[0]["lr"] = known.param_groups[0]["lr"] = 0.1 / (step + 2)
        if step == 3:
            saved = unpack(pack(own.state_dict(), tensors := {}), tensors)  # as a resumable state keeps it
            own = make_optimiser(options, groups)
            own.load_state_dict(saved)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weight_average_is_the_recursion_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, 0.5)
    expected = 0.0
    for count, value in enumerate([1.0, 2.0, 4.0], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * value
    assert average.values()["weight"].item() == pytest.approx(expected)
    with average.in_place_of(model):
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 4.0


def test_bfloat16_rounds_products_and_leaves_losses_and_weights_in_float32(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    losses = {}
    for precision in ("fp32", "bf16"):
        phase = {"epochs": 2, "batch": 32, "optimiser": {"lr": 0.01}, "precision": precision}
        out = tmp_path / f"{precision}.safetensors"
        train.run(small_recipe(warmup={"epochs": 0}, train=phase), dataset, out, quiet())
        assert {value.dtype for value in read_checkpoint(out, fmt.MODEL)[0].values()} == {torch.float32}
        losses[precision] = read_checkpoint(out, fmt.MODEL)[1].notes["history"][-1]["loss"]
    assert losses["fp32"] != losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
