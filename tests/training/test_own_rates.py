"""Encoders with a learning rate of their own, and layers that do not learn."""

from __future__ import annotations

import pytest
import torch
from small import small_recipe, toy_dataset
from text_models import small_bert
from torch import nn

from omib_cli.encoders.mlp import MlpEncoder
from omib_cli.encoders.pretrained import read_config
from omib_cli.encoders.text import TextEncoder
from omib_cli.errors import Interrupted
from omib_cli.recipe.encoders import MlpOptions, TextOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import train
from omib_cli.training.schedule import parameter_groups


def network(*encoders):
    return nn.ModuleDict({"encoders": nn.ModuleList(encoders), "head": nn.Linear(2, 1)})


def text(folder, **options):
    return TextEncoder(TextOptions(width=2, **options), (7,), {"model": read_config(folder, "tokenizer")})


def names(model, group):
    wanted = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def test_without_own_rates_all_parameters_are_one_group_in_the_models_order():
    model = network(MlpEncoder(MlpOptions(width=2), (3,)))
    (group,) = parameter_groups(model, model["encoders"], 0.1)
    assert group["lr"] == 0.1
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]


def test_an_encoders_own_rate_is_for_all_of_it_and_of_a_text_encoder_for_the_pretrained_layers(tmp_path):
    bert = small_bert(tmp_path / "bert")
    model = network(MlpEncoder(MlpOptions(width=2, lr=0.5), (3,)), text(bert, lr=1e-5), MlpEncoder(MlpOptions(), (3,)))
    phase, mlp, backbone = parameter_groups(model, model["encoders"], 0.1)
    assert [group["lr"] for group in (phase, mlp, backbone)] == [0.1, 0.5, 1e-5]
    assert {name.rsplit(".", 3)[0] for name in names(model, mlp)} == {"encoders.0"}
    assert all(name.startswith("encoders.1.backbone.") for name in names(model, backbone))
    assert {"encoders.1.top.weight", "head.weight", "encoders.2.layers.0.weight"} <= names(model, phase)
    assert sum(len(group["params"]) for group in (phase, mlp, backbone)) == len(list(model.parameters()))


def test_frozen_layers_are_not_given_to_the_optimiser(tmp_path):
    model = network(text(small_bert(tmp_path / "bert"), freeze=True))
    (group,) = parameter_groups(model, model["encoders"], 0.1)
    assert names(model, group) == {"encoders.0.top.weight", "encoders.0.top.bias", "head.weight", "head.bias"}


def recipe(lr, epochs=3):
    encoder = {"kind": "mlp", "hidden": [16], "width": 8}
    schedule = {"kind": "cosine", "warmup_steps": 3}
    return small_recipe(
        modalities={"x1": {"encoder": {**encoder, "lr": lr}}, "x2": {"encoder": encoder}},
        warmup={"epochs": 0},
        train={"epochs": epochs, "batch": 32, "optimiser": {"lr": 0.01}, "schedule": schedule},
    )


def trained(folder, name, dataset, job=None, **arguments):
    out = folder / f"{name}.safetensors"
    return train.run(recipe(**arguments), dataset, out, job or Job(device="cpu", threads=1, command="test")), out


class StopAfter(Progress):
    """Asks for a stop after so many steps."""

    def __init__(self, steps):
        self.steps, self.job = steps, None

    def advance(self, count, **figures):
        self.steps -= 1
        if self.steps == 0:
            self.job.stop.set("test")


def test_a_resumed_run_with_own_rates_equals_an_uninterrupted_one(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    whole, _ = trained(tmp_path, "a", dataset, lr=0.001)
    for steps in (3, 8):
        progress = StopAfter(steps)
        progress.job = Job(device="cpu", threads=1, command="test", progress=progress)
        with pytest.raises(Interrupted):
            trained(tmp_path, "b", dataset, progress.job, lr=0.001)
    assert trained(tmp_path, "b", dataset, lr=0.001)[0].hash == whole.hash
    assert trained(tmp_path, "c", dataset, lr=0.01)[0].hash != whole.hash


def test_a_small_own_rate_keeps_an_encoder_near_its_start_while_the_others_move(tmp_path):
    from safetensors.torch import load_file

    dataset = toy_dataset(tmp_path / "d.h5")
    short, long = (load_file(trained(tmp_path, str(n), dataset, lr=1e-9, epochs=n)[1]) for n in (1, 3))
    change = {
        name: (short[name] - long[name]).abs().max().item() for name in short if torch.is_floating_point(short[name])
    }
    assert max(value for name, value in change.items() if name.startswith("encoders.0")) < 1e-6
    assert min(value for name, value in change.items() if name.startswith("encoders.1")) > 1e-4
