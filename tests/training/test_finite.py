"""Infinity never becomes a model: losses, gradients, weights and predictions are looked at before one is written."""

from __future__ import annotations

import pytest
import torch
from small import small_recipe, toy_dataset

from omib_cli.errors import NumericError
from omib_cli.runtime.job import Job
from omib_cli.stages import train, warmup
from omib_cli.training import loop


def quiet():
    return Job(device="cpu", threads=1, command="test")


def must_be_refused(run, out, what):
    with pytest.raises(NumericError, match=what) as caught:
        run()
    assert caught.value.exit_code == 5
    assert "epoch" in caught.value.where or "phase" in caught.value.where
    assert not out.exists()


HUGE = {"epochs": 1, "batch": 1000, "optimiser": {"lr": 1e38}}
"""One step, whose loss is finite and whose update is not."""


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_weights_that_the_last_step_makes_infinite_are_not_written(tmp_path, average):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    recipe = small_recipe(warmup={"epochs": 0}, train={**HUGE, "average": average})
    must_be_refused(lambda: train.run(recipe, dataset, out, quiet()), out, "weights, .* is not a finite number")


def test_the_warm_ups_weights_are_looked_at_too(tmp_path):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "w.safetensors"
    must_be_refused(lambda: warmup.run(small_recipe(warmup=HUGE), dataset, out, quiet()), out, "not a finite number")


def test_an_overflow_in_an_epochs_last_step_is_named_though_there_is_a_validation_split(tmp_path):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    large = {**HUGE, "optimiser": {"kind": "sgd", "lr": 1e20, "momentum": 0.0}}  # finite weights, infinite outputs
    recipe = small_recipe(warmup={"epochs": 0}, train={**large, "select": "validation"})
    must_be_refused(lambda: train.run(recipe, dataset, out, quiet()), out, "not a finite number")


def test_what_arises_between_two_looks_is_found_when_the_epoch_ends(tmp_path, monkeypatch):
    """As on an accelerator, where each look would wait for the device."""
    monkeypatch.setattr(loop.Trainer, "_looks", lambda self, number: False)
    dataset, out = toy_dataset(tmp_path / "d.h5", task="regression"), tmp_path / "m.safetensors"
    steps = {"epochs": 3, "batch": 16, "optimiser": {"kind": "sgd", "lr": 1e6}}
    recipe = small_recipe(task="regression", warmup={"epochs": 0}, train=steps)
    with pytest.raises(NumericError, match="is not a finite number") as caught:
        train.run(recipe, dataset, out, quiet())
    assert "epoch 1" in caught.value.where
    assert not out.exists()


def test_a_gradient_whose_norm_overflows_is_named_before_it_is_clipped_away(tmp_path, monkeypatch):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    real = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda parameters, limit: real(parameters, limit) * torch.inf
    )
    recipe = small_recipe(warmup={"epochs": 0}, train={"epochs": 1, "batch": 32, "clip": 1.0})
    must_be_refused(lambda: train.run(recipe, dataset, out, quiet()), out, "the gradient's norm")
