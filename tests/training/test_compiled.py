"""``--compile``: the same training, and one compilation however a batch is divided."""

from __future__ import annotations

import pytest
import torch
from small import small_recipe, toy_dataset
from test_kept import rows_of
from test_loop import quiet

from omib_cli.runtime.job import Job
from omib_cli.stages import train

LINEAR = {"encoder": {"kind": "mlp", "hidden": [], "width": 4, "dropout": 0.2}}


def recipe(micro=None, **sections):
    modalities = {"x1": LINEAR, "x2": LINEAR}
    phase = {"epochs": 2, "batch": 31, "micro_batch": micro, "optimiser": {"lr": 0.01}}
    return small_recipe(modalities=modalities, warmup={"epochs": 0}, train=phase, **sections)


def losses_of(out):
    return [row["loss"] for row in rows_of(out)]


def test_compiled_training_is_training(tmp_path):
    dataset, simple = toy_dataset(tmp_path / "d.h5"), {"fusion": {"method": "concat"}, "head": {"hidden": 0}}
    outs = [tmp_path / f"{name}.safetensors" for name in ("plain", "compiled")]
    train.run(recipe(**simple), dataset, outs[0], quiet())
    train.run(recipe(**simple), dataset, outs[1], Job(device="cpu", threads=1, compile=True))
    assert losses_of(outs[1]) == pytest.approx(losses_of(outs[0]), rel=1e-4)


def test_pieces_of_a_batch_are_compiled_together_not_one_by_one(tmp_path, monkeypatch):
    """What is compiled is counted; the code itself need not be made for that."""
    made = []

    def counted(graph, inputs):
        made.append(graph)
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda losses, options: real(losses, backend=counted))
    torch._dynamo.reset()
    dataset = toy_dataset(tmp_path / "d.h5", missing=True)
    out = tmp_path / "m.safetensors"
    train.run(recipe(micro=8), dataset, out, Job(device="cpu", threads=1, compile=True))  # 4 sizes, 4 places, 2 totals
    assert 1 <= len(made) <= 3
    plain = tmp_path / "plain.safetensors"
    train.run(recipe(micro=8), dataset, plain, quiet())
    assert losses_of(out) == pytest.approx(losses_of(plain), rel=1e-5)
