"""Compared methods through the stages: one phase, no warm-up, no estimate; missing modalities; a method of our own."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest
import torch
from small import small_recipe, toy_dataset, write_dataset

from omib_cli.artifacts.catalogue import describe
from omib_cli.artifacts.embedding import read_embedding
from omib_cli.errors import StaleError, UsageError
from omib_cli.fusion.joined import Joined
from omib_cli.recipe.fusion import FUSIONS, FusionOptions
from omib_cli.stages import embed, estimate_mi, evaluate, rehearsal, run, train, warmup

COMPARED = [name for name in FUSIONS if name != "omib"]


def recipe(method, count=2, **sections):
    narrow = {"e-mib": 16, "l-mib": 16, "c-mib": 16, "mmib-zhang": 16}
    options = {"hidden": narrow[method]} if method in narrow else {"width": 8} if method == "misa" else {}
    return small_recipe(count, fusion={"method": method, **options}, **sections)


@pytest.mark.parametrize("method", COMPARED)
def test_three_modalities_with_missing_ones_are_trained_on_and_embedded(tmp_path, job, method):
    path, model, out = toy_dataset(tmp_path / "d.h5", 3, missing=True), tmp_path / "m.safetensors", tmp_path / "e.h5ad"
    train.run(recipe(method, 3), path, model, job)
    assert {file.name for file in tmp_path.iterdir()} == {"d.h5", "m.safetensors", "m.metrics.jsonl"}
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    assert [(row["phase"], row["epoch"]) for row in rows] == [("train", epoch) for epoch in range(1, 6)]  # 2 + 3
    assert rows[-1]["task"] < rows[0]["task"]
    embed.run(path, model, out, job)
    data, provenance = read_embedding(out)
    assert data.n_obs == 400
    assert provenance.notes["beta"] is None
    assert ("output_x2" in data.obsm) == (method in {"dmib", "l-mib", "c-mib"})


@pytest.mark.parametrize("method", ["film", "l-mib"])
def test_a_report_does_without_beta_r_and_where_need_be_branches(tmp_path, job, method):
    result = run.run(recipe(method), None, tmp_path / "out", job)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not names & {"warmup.safetensors", "information.h5"}
    assert 0.0 <= result.figures["test/accuracy"] <= 1.0
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())["runs"][0]
    assert report["beta"] is None
    assert set(report["metrics"]["test"]) == ({"fused"} if method == "film" else {"fused", "x1", "x2"})
    assert run.run(recipe(method), None, tmp_path / "out", job).already_there


def test_runs_of_different_methods_are_evaluated_together(tmp_path, job):
    path, outs = toy_dataset(tmp_path / "d.h5"), []
    for method in ("concat", "c-mib"):
        model = tmp_path / f"{method}.safetensors"
        train.run(recipe(method), path, model, job)
        outs.append(embed.run(path, model, tmp_path / f"{method}.h5ad", job).out)
    assert evaluate.run(outs, tmp_path / "report", job).figures["runs"] == 2


@pytest.mark.parametrize("method", ["misa", "dmib", "c-mib"])
def test_anomalies_are_learnt_from_normal_samples(tmp_path, job, method):
    rng = np.random.default_rng(0)
    labels = np.r_[np.zeros(120), np.zeros(20), np.ones(20)]
    values = {name: rng.normal(size=(160, 6)) + 4.0 * labels[:, None] for name in ("x1", "x2")}
    split = np.repeat([0, 2], [120, 40])
    path = write_dataset(tmp_path / "d.h5", values, labels, split, classes=["normal", "anomalous"], task="anomaly")
    model = tmp_path / "m.safetensors"
    train.run(recipe(method, task="anomaly", train={"epochs": 10, "batch": 32}), path, model, job)
    found = embed.run(path, model, tmp_path / "e.h5ad", job)
    scores = read_embedding(found.out)[0].obs["prediction"].to_numpy()
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


def test_the_longer_phase_makes_a_model_out_of_date_when_either_length_changes(tmp_path, job):
    path, model = toy_dataset(tmp_path / "d.h5"), tmp_path / "m.safetensors"
    train.run(recipe("concat"), path, model, job)
    with pytest.raises(StaleError) as caught:
        train.run(recipe("concat", warmup={"epochs": 4}), path, model, job)
    assert "warmup.epochs: 2 -> 4" in caught.value.got
    assert describe(model).hash


def test_asking_for_a_warm_up_is_refused_with_what_happens_instead(tmp_path, job):
    path = toy_dataset(tmp_path / "d.h5")
    warm = warmup.run(small_recipe(), path, tmp_path / "w.safetensors", job).out
    for ask in (
        lambda: warmup.run(recipe("misa"), path, tmp_path / "out.safetensors", job),
        lambda: rehearsal.rehearse(recipe("misa"), path, job, main=False),
        lambda: train.run(recipe("misa"), path, tmp_path / "m.safetensors", job, warmup=warm),
    ):
        with pytest.raises(UsageError, match="misa has no warm-up") as caught:
            ask()
        assert caught.value.exit_code == 2
        assert "5 epochs" in caught.value.expected


def test_information_is_estimated_without_a_warm_up_where_modalities_are_vectors(tmp_path, job):
    path, plain = toy_dataset(tmp_path / "d.h5"), recipe("dmib", information={"estimator": "saturation"})
    encoded = recipe("dmib", information={"input": "encodings"})
    assert estimate_mi.run(plain, path, tmp_path / "i.h5", job).kind == "information"
    with pytest.raises(UsageError, match="after warm-up") as caught:
        estimate_mi.run(encoded, path, tmp_path / "j.h5", job)
    assert "dmib has no warm-up" in caught.value.do


def test_a_rehearsal_counts_the_epochs_of_the_longer_phase(tmp_path, job):
    path = toy_dataset(tmp_path / "d.h5")
    found = rehearsal.rehearse(recipe("concat", warmup={"epochs": 3000}), path, job, main=True)
    assert found["minutes"] > 0
    assert found["parameters"]["fusion"] == 16 * 16 + 16 + 16 * 2 + 2


def test_omib_without_warm_up_trains_for_as_long_as_it_is_told(tmp_path, job):
    """The ablation keeps the total of epochs if what warm-up had is given to main training."""
    path = toy_dataset(tmp_path / "d.h5")
    ablated = small_recipe(warmup={"epochs": 0}, train={"epochs": 5, "batch": 32})
    train.run(ablated, path, tmp_path / "m.safetensors", job)
    assert not (tmp_path / "warmup.safetensors").exists()
    assert [row["phase"] for row in describe(tmp_path / "m.safetensors").notes["history"]] == ["train"] * 5


class SumOptions(FusionOptions):
    """The thirteenth method."""

    method: Literal["sum"] = "sum"
    scale: float = 2.0


class Sum(Joined):
    """u = scale (z_1 + .. + z_M)."""

    def __init__(self, options, widths, task, head):
        super().__init__(options, widths, task, head)
        self.scale = options.scale
        self.head = task.make_head(next(iter(widths.values())), head)

    def join(self, z, batch):
        return self.scale * torch.stack(batch.fill_each(z)).sum(dim=0)


def test_a_method_of_ones_own_is_one_class_and_one_entry(tmp_path, job):
    FUSIONS.add(SumOptions, f"{__name__}:Sum")
    try:
        path, model = toy_dataset(tmp_path / "d.h5", missing=True), tmp_path / "m.safetensors"
        chosen = small_recipe(fusion={"method": "sum", "scale": 0.5})
        train.run(chosen, path, model, job)
        found = read_embedding(embed.run(path, model, tmp_path / "e.h5ad", job).out)[0]
        assert found.X.shape == (400, 8)
        assert describe(model).recipe["fusion"] == {"method": "sum", "scale": 0.5}
        assert (found.obs["prediction"] == found.obs["label"]).mean() > 0.6
    finally:
        FUSIONS.remove("sum")
