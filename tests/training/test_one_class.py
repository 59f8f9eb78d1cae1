"""Deep one-class classification: centres, collapse, and that anomalies come out far from what is normal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batches import encoded
from small import small_recipe, write_dataset
from torch import nn

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.embedding import read_embedding
from omib_cli.data.samples import read_split
from omib_cli.errors import DataError, NumericError
from omib_cli.fusion.attention import CrossAttention
from omib_cli.recipe.heads import HeadOptions
from omib_cli.recipe.tasks import AnomalyOptions
from omib_cli.stages import embed, evaluate, train, warmup
from omib_cli.tasks.anomaly import Anomaly
from omib_cli.tasks.head import CentredHead
from omib_cli.training.inference import dataset_facts
from omib_cli.training.model import build_model
from omib_cli.training.one_class import must_not_collapse, relative_spread, set_centres

KINDS = ["normal", "anomalous"]
LONGER = {"epochs": 30, "batch": 32, "optimiser": {"kind": "adamw", "lr": 0.01}}
"""Until normal samples have arrived at their centre; before, larger inputs may be nearer to it."""


def tissue(path, *, shift: float = 4.0, anomalies_in_training: int = 0, labelled: bool = True):
    """300 normal samples to train on; two sections of 60 with 20 anomalies each; 10 samples without a label."""
    rng = np.random.default_rng(1)
    labels = np.concatenate([np.zeros(300), np.tile(np.r_[np.zeros(40), np.ones(20)], 2), np.full(10, np.nan)])
    labels[:anomalies_in_training] = 1
    values = {name: rng.normal(size=(len(labels), 6)) + 1.0 for name in ("x1", "x2")}
    for value in values.values():
        value[labels == 1, :3] += shift
    labels = labels if labelled else np.full(len(labels), np.nan)
    groups = ["train"] * 300 + ["A"] * 60 + ["B"] * 70
    split = np.repeat([0, 2], [300, 130])
    return write_dataset(path, values, labels, split, classes=KINDS, task="anomaly", groups=groups)


def recipe(**sections):
    modality = {"encoder": {"kind": "mlp", "hidden": [16], "width": 8, "activation": "leaky-relu"}}
    return small_recipe(
        task="anomaly",
        data={"source": "simulation", "parts": {"a0": 6, "a1": 1, "a2": 1}},
        modalities={"x1": modality, "x2": modality},
        head={"hidden": 16, "activation": "leaky-relu"},
        fusion={"method": "omib", "norm": False},  # a normalised embedding hides how far a sample is from the others
        **sections,
    )


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def test_centre_is_the_mean_output_with_small_coordinates_moved_away_from_zero():
    head = CentredHead(3, 4, HeadOptions(hidden=0))
    head.collect()
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    encoded(head, x[:20])
    encoded(head, x[20:])
    head.settle(0.1)
    mean = encoded(head.layers, x).mean(dim=0).detach()
    expected = torch.where(mean.abs() < 0.1, 0.1 * torch.where(mean < 0, -1.0, 1.0), mean)
    assert torch.allclose(head.centre, expected, atol=1e-6)
    assert torch.allclose(encoded(head, x), encoded(head.layers, x) - head.centre)


def test_a_coordinate_of_exactly_zero_is_moved_too():
    head = CentredHead(2, 3, HeadOptions(hidden=0))
    head.collect()
    encoded(head, torch.zeros(4, 2))
    head.settle(0.1)
    assert head.centre.tolist() == pytest.approx([0.1, 0.1, 0.1])


def test_layers_on_the_way_to_a_distance_have_no_bias(tmp_path):
    with Dataset(tissue(tmp_path / "data.h5")) as data:
        model = build_model(recipe(), dataset_facts(data), torch.device("cpu"))
    heads = [module for module in model.modules() if isinstance(module, CentredHead)]
    assert len(heads) == 3  # two branches and the embedding's
    assert all(layer.bias is None for head in heads for layer in linear_layers(head))
    assert all(linear_layers(encoder)[-1].bias is None for encoder in model.encoders)
    assert model.fusion.attention.out.bias is None
    with_norm = CrossAttention(2, 8, "tokens", 4, True, bias=False)
    assert with_norm.norm.weight is None


def test_each_head_has_its_own_centre_set_once_for_each_phase(tmp_path, job):
    path, options = tissue(tmp_path / "data.h5"), recipe()
    warmup.run(options, path, tmp_path / "warmup.safetensors", job)
    train.run(options, path, tmp_path / "model.safetensors", job, warmup=tmp_path / "warmup.safetensors")
    from safetensors.torch import load_file

    before, after = load_file(tmp_path / "warmup.safetensors"), load_file(tmp_path / "model.safetensors")
    centres = {name for name in after if name.startswith("fusion.") and name.endswith("centre")}
    assert len(centres) == 3
    assert len({tuple(after[name].tolist()) for name in centres}) == 3
    assert all(after[name].abs().min() >= 0.1 - 1e-6 for name in centres)
    for name in centres & set(before):
        assert not torch.equal(before[name], after[name])  # set again where the embedding replaces the noise


def test_centres_stay_fixed_while_training(tmp_path):
    with Dataset(tissue(tmp_path / "data.h5")) as data:
        samples = read_split(data, "train", torch.device("cpu"))
        model = build_model(recipe(), dataset_facts(data), torch.device("cpu"))
    with torch.no_grad():
        set_centres(model, model.losses, samples, AnomalyOptions())
    before = {name: value.clone() for name, value in model.named_buffers()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.losses(samples.values, samples.batch).total.backward()
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers() if name.endswith("centre"))


def test_anomalies_score_higher_and_are_judged_section_by_section(tmp_path, job):
    path, model, out = (tmp_path / name for name in ("data.h5", "model.safetensors", "embedding.h5ad"))
    tissue(path)
    train.run(recipe(train=LONGER), path, model, job)
    embed.run(path, model, out, job)
    data, _ = read_embedding(out)
    scores, labels = data.obs["prediction"].to_numpy(), data.obs["label"].astype(str).to_numpy()
    assert np.allclose(scores, data.obsm["output"][:, 0])
    assert scores[labels == "anomalous"].mean() > scores[labels == "normal"].mean()
    result = evaluate.run([out], tmp_path / "report", job)
    import json

    report = json.loads((tmp_path / "report" / "report.json").read_text())
    fused = report["runs"][0]["metrics"]["test"]["fused"] if "runs" in report else report["metrics"]["test"]["fused"]
    assert set(fused["by_group"]) == {"A", "B"}
    sections = [fused["by_group"][name]["auc"]["value"] for name in "AB"]
    assert fused["auc"]["value"] == pytest.approx(np.mean(sections))
    assert fused["auc"]["value"] > 0.9
    assert result.figures["test/auc"] == pytest.approx(fused["auc"]["value"])


def test_without_labels_the_report_compares_nothing_and_shows_the_scores(tmp_path, job):
    path, model, out = (tmp_path / name for name in ("data.h5", "model.safetensors", "embedding.h5ad"))
    train.run(recipe(), tissue(path, labelled=False), model, job)
    embed.run(path, model, out, job)
    report = evaluate.run([out], tmp_path / "report", job).out
    figures = {figure.stem for figure in (report / "figures").iterdir()}
    assert "comparison" not in figures
    assert {"scores", "map", "losses"} <= figures
    assert "Anomaly detection from 2 modalities (x1, x2)" in (report / "report.html").read_text()


def test_metrics_by_hand_and_independent_of_samples_without_a_label():
    task = Anomaly(AnomalyOptions(), KINDS)
    scores = np.array([[5.0], [4.0], [3.0], [2.0], [9.0]], dtype=np.float32)
    found = task.metrics(scores, np.array([1.0, 0.0, 1.0, 0.0, np.nan]))
    assert found["auc"] == pytest.approx(0.75)
    assert found["f1"] == pytest.approx(0.5)  # two are called, one of them rightly
    assert found["average_precision"] == pytest.approx(0.5 * (1.0 + 2.0 / 3.0))


def test_equal_scores_are_ranked_in_the_order_of_the_samples():
    task = Anomaly(AnomalyOptions(), KINDS)
    constant = np.ones((4, 1), dtype=np.float32)
    assert task.metrics(constant, np.array([0.0, 0.0, 1.0, 1.0]))["f1"] == 0.0
    assert task.metrics(constant, np.array([1.0, 1.0, 0.0, 0.0]))["f1"] == 1.0


def test_divergence_compares_centred_outputs():
    task = Anomaly(AnomalyOptions(width=2), KINDS)
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    assert task.divergence(a, b).item() == pytest.approx(0.5 * (1 + 4))
    assert task.loss(a, torch.tensor([0.0])).item() == pytest.approx(5.0)


def test_collapse_is_named(tmp_path):
    with Dataset(tissue(tmp_path / "data.h5")) as data:
        samples = read_split(data, "train", torch.device("cpu"))
        model = build_model(recipe(), dataset_facts(data), torch.device("cpu")).eval()
    must_not_collapse(model, samples, AnomalyOptions(), fused=True)  # a fresh network has not collapsed
    last = linear_layers(model.encoders[1])[-1]
    torch.nn.init.zeros_(last.weight)
    with pytest.raises(NumericError, match="the encoding of x2 has collapsed"):
        must_not_collapse(model, samples, AnomalyOptions(), fused=True)


def lacking(path, *, share: float = 0.6):
    """Normal samples of which most lack x2, whose values then are zeros."""
    rng = np.random.default_rng(2)
    values = {name: rng.normal(size=(200, 6)) + 1.0 for name in ("x1", "x2")}
    here = {"x1": np.ones(200, dtype=bool), "x2": rng.random(200) > share}
    values["x2"][~here["x2"]] = 0.0
    split = np.repeat([0, 2], [150, 50])
    return write_dataset(path, values, np.zeros(200), split, classes=KINDS, task="anomaly", present=here)


def test_a_branchs_centre_is_the_mean_over_the_samples_that_have_its_modality(tmp_path):
    with Dataset(lacking(tmp_path / "data.h5")) as data:
        samples = read_split(data, "train", torch.device("cpu"))
        model = build_model(recipe(), dataset_facts(data), torch.device("cpu")).eval()
    silent = [zi.new_zeros(len(zi), 8) for zi in model.encode(samples.values, samples.batch)]

    def without_noise(values, batch):
        z = model.encode(values, batch)
        for i, zi in enumerate(z):
            model.fusion._branch(i, zi, silent[i], batch)

    with torch.no_grad():
        set_centres(model, without_noise, samples, AnomalyOptions(centre_draws=1, epsilon=1e-9))
        z = model.encode(samples.values, samples.batch)[1][samples.present[:, 1]]
        outputs = encoded(model.fusion.branches[1].layers, torch.cat([z, silent[1][: len(z)]], dim=-1))
    torch.testing.assert_close(model.fusion.branches[1].centre, outputs.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_samples_that_lack_a_modality_are_no_sign_of_collapse(tmp_path):
    with Dataset(lacking(tmp_path / "data.h5")) as data:
        samples = read_split(data, "train", torch.device("cpu"))
        model = build_model(recipe(), dataset_facts(data), torch.device("cpu")).eval()
    z = model.encode(samples.values, samples.batch)[1]
    of_those_that_have_it = relative_spread(z[samples.present[:, 1]])
    assert of_those_that_have_it < 0.9 * relative_spread(z)  # the zeros' encoding lies apart from the others
    between = AnomalyOptions(least_spread=(of_those_that_have_it + relative_spread(z)) / 2)
    with pytest.raises(NumericError, match="x2 has collapsed"):  # seen only without the rows that lack it
        must_not_collapse(model, samples, between, fused=False)


def test_spread_does_not_depend_on_scale():
    values = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3.0
    assert relative_spread(values) == pytest.approx(relative_spread(values * 1e-6))
    assert relative_spread(torch.full((10, 3), 2.0)) == 0.0
    assert relative_spread(torch.zeros(10, 3)) == 0.0


def test_labelled_anomalies_are_not_trained_on(tmp_path, job):
    with pytest.raises(DataError, match="labelled anomalies in the training split"):
        warmup.run(recipe(), tissue(tmp_path / "data.h5", anomalies_in_training=3), tmp_path / "out.safetensors", job)
