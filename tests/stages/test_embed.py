"""The embedding: complete, without noise, readable by scanpy, exact after interruption, for missing modalities too."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch
from small import small_recipe, toy_dataset, write_dataset

from omib_cli.artifacts import files
from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import verify
from omib_cli.artifacts.embedding import read_embedding
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError, Interrupted, MismatchError
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import embed, train


def quiet(**options):
    return Job(device="cpu", threads=1, command="test", **options)


@pytest.fixture
def trained(tmp_path):
    def make(missing=False, task="classification", **sections):
        dataset = toy_dataset(tmp_path / "d.h5", 3, task, missing)
        train.run(small_recipe(3, task, **sections), dataset, tmp_path / "model.safetensors", quiet())
        return dataset, tmp_path / "model.safetensors"

    return make


def test_it_holds_every_sample_of_every_split(trained, tmp_path):
    dataset, model = trained()
    result = embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    data, provenance = read_embedding(tmp_path / "e.h5ad")
    assert data.shape == (400, 8)
    assert data.obs["split"].value_counts().to_dict() == {"train": 240, "validation": 60, "test": 100}
    assert list(data.obs_names[:2]) == ["s0000", "s0001"]
    np.testing.assert_allclose(data.obsm["output"].sum(axis=1), 1.0, rtol=1e-5)
    assert {f"posterior_sd_x{i}" for i in (1, 2, 3)} <= set(data.obsm)
    assert (np.asarray(data.obsm["posterior_sd_x1"]) > 0).all()
    assert set(data.obs["label"]) == {"0", "1"}
    assert (data.obs["prediction"] == data.obs["label"]).any()  # they have the same categories
    assert provenance.parents.keys() == {"dataset", "model"}
    assert verify(tmp_path / "e.h5ad").hash == result.hash
    assert not (tmp_path / "e.h5ad.partial").exists()


def test_it_has_no_noise_and_does_not_depend_on_the_size_of_blocks(trained, tmp_path, monkeypatch):
    dataset, model = trained()
    a = embed.run(dataset, model, tmp_path / "a.h5ad", quiet())
    b = embed.run(dataset, model, tmp_path / "b.h5ad", quiet())
    assert a.hash == b.hash
    monkeypatch.setattr(fmt, "BLOCK_ROWS", 64)
    embed.run(dataset, model, tmp_path / "c.h5ad", quiet())
    whole, pieces = (read_embedding(tmp_path / f"{name}.h5ad")[0].X for name in "ac")
    np.testing.assert_allclose(whole, pieces, rtol=1e-4, atol=1e-6)


def test_a_disk_without_room_is_a_message_before_a_mapped_page_is_touched(trained, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset, model = trained()
    monkeypatch.setattr(files.os, "posix_fallocate", full)
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError, match="could not be written"):
        embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    assert set(tmp_path.iterdir()) == before


def test_interrupted_embedding_equals_uninterrupted(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(fmt, "BLOCK_ROWS", 64)
    dataset, model = trained(fusion={"method": "omib", "inference_samples": 3})
    whole = embed.run(dataset, model, tmp_path / "a.h5ad", quiet())

    class StopAfterTwo(Progress):
        count = 0

        def advance(self, count, **figures):
            self.count += 1
            if self.count == 2:
                job.stop.set("test")

    job = quiet(progress=StopAfterTwo())
    with pytest.raises(Interrupted):
        embed.run(dataset, model, tmp_path / "b.h5ad", job)
    assert not (tmp_path / "b.h5ad").exists()
    assert embed.run(dataset, model, tmp_path / "b.h5ad", quiet()).hash == whole.hash


def test_missing_modalities_are_embedded_and_their_branch_says_nothing(trained, tmp_path):
    dataset, model = trained(missing=True)
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    data, _ = read_embedding(tmp_path / "e.h5ad")
    missing = ~data.obs["has_x2"].to_numpy()
    assert 0 < missing.sum() < len(missing)
    assert np.isfinite(data.X).all()
    assert list(data.obs["prediction_x2"].isna()) == missing.tolist()
    for key in ("output_x2", "logits_x2"):
        assert np.isnan(data.obsm[key][missing]).all()
        assert np.isfinite(data.obsm[key][~missing]).all()
    assert data.obs["prediction_x1"].notna().all()
    np.testing.assert_array_equal(np.asarray(data.obsm["posterior_sd_x2"])[missing], 1.0)  # the prior


def test_regression_values_are_in_the_labels_unit(trained, tmp_path):
    dataset, model = trained(task="regression", train={"epochs": 10, "batch": 32, "optimiser": {"lr": 0.02}})
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    data, _ = read_embedding(tmp_path / "e.h5ad")
    assert np.corrcoef(data.obs["prediction"], data.obs["label"])[0, 1] > 0.8
    assert data.obs["label"].dtype == float


def test_scanpy_takes_it_as_it_is(trained, tmp_path):
    import scanpy

    dataset, model = trained()
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    data = scanpy.read_h5ad(tmp_path / "e.h5ad")
    scanpy.pp.pca(data, n_comps=3)
    scanpy.pp.neighbors(data, n_neighbors=5)
    assert data.obsp["connectivities"].shape == (400, 400)


def test_another_dataset_of_the_same_shape_may_be_embedded_and_one_of_another_shape_not(trained, tmp_path):
    _, model = trained()
    rng = np.random.default_rng(5)
    new = {f"x{i}": rng.normal(size=(30, 6)) for i in (1, 2, 3)}
    labels, split = np.arange(30) % 2, np.repeat([0, 2], [10, 20])
    same = write_dataset(tmp_path / "same.h5", new, labels, split)
    assert embed.run(same, model, tmp_path / "same.h5ad", quiet()).figures["samples"] == 30
    new["x2"] = new["x2"][:, :4]
    other = write_dataset(tmp_path / "other.h5", new, labels, split)
    with pytest.raises(MismatchError, match="shapes") as caught:
        embed.run(other, model, tmp_path / "other.h5ad", quiet())
    assert caught.value.exit_code == 4
    assert not (tmp_path / "other.h5ad").exists()


def test_the_embedding_is_what_the_network_computes(trained, tmp_path):
    from omib_cli.artifacts.dataset import Dataset
    from omib_cli.data.samples import read_split
    from omib_cli.recipe.schema import recipe_model
    from omib_cli.training.inference import load_model

    dataset, model = trained()
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    with Dataset(dataset) as data:
        network, provenance = load_model(
            model, recipe_model().model_validate(small_recipe(3).resolved()), data, quiet()
        )
        with torch.no_grad():
            xi = network.fuse(read_split(data, "validation", torch.device("cpu"))).embedding
    stored = read_embedding(tmp_path / "e.h5ad")[0]
    np.testing.assert_allclose(stored[stored.obs["split"] == "validation"].X, xi.numpy(), rtol=1e-4, atol=1e-6)
    assert provenance.kind == "model"


def test_what_each_bottleneck_lets_through_is_the_sum_over_its_dimensions(trained, tmp_path):
    """KL(N(m, s²) || N(0, 1)) of a sample in nats, for a modality that it lacks 0."""
    from omib_cli.artifacts.dataset import Dataset
    from omib_cli.data.samples import read_split
    from omib_cli.recipe.schema import recipe_model
    from omib_cli.training.inference import load_model

    dataset, model = trained(missing=True)
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    with Dataset(dataset) as data:
        network, _ = load_model(model, recipe_model().model_validate(small_recipe(3).resolved()), data, quiet())
        with torch.no_grad():
            posteriors = network.fuse(read_split(data, "validation", torch.device("cpu"))).posteriors
    stored = read_embedding(tmp_path / "e.h5ad")[0]
    stored = stored[stored.obs["split"] == "validation"]
    for name, posterior in posteriors.items():
        prior = torch.distributions.Normal(0.0, 1.0)
        own = torch.distributions.kl_divergence(torch.distributions.Normal(posterior.mean, posterior.sd), prior)
        np.testing.assert_allclose(stored.obs[f"kl_{name}"], own.sum(dim=1).numpy(), rtol=1e-3, atol=1e-5)
        assert stored.obs[f"kl_{name}"].max() > 0.01
    np.testing.assert_array_equal(stored.obs["kl_x2"][~stored.obs["has_x2"]], 0.0)


def test_probabilities_are_those_of_the_logits_beside_them(trained, tmp_path):
    dataset, model = trained()
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    data, _ = read_embedding(tmp_path / "e.h5ad")
    for suffix in ("", "_x1"):
        exact = torch.softmax(torch.as_tensor(data.obsm[f"logits{suffix}"]).double(), dim=1).numpy()
        np.testing.assert_allclose(data.obsm[f"output{suffix}"], exact, rtol=1e-6)
        names = np.array(["0", "1"])[exact.argmax(axis=1)]
        np.testing.assert_array_equal(data.obs[f"prediction{suffix}"].astype(str), names)


def test_data_are_the_same_for_all_seeds_and_others_from_other_files_or_options(trained, tmp_path):
    def made(seed=0, files=None, **sections):
        recipe = small_recipe(3, seed=seed, **sections)
        return Provenance("dataset", recipe.resolved(), "r", facts={"files": files or {}})

    origin = embed.origin_of(made())
    assert origin == embed.origin_of(made(1)) == embed.origin_of(made(head={"hidden": 5}))
    assert origin != embed.origin_of(made(files={"table.csv": "f" * 64}))
    assert origin != embed.origin_of(made(data={**small_recipe(3).resolved()["data"], "samples": 500}))
    dataset, model = trained()
    embed.run(dataset, model, tmp_path / "e.h5ad", quiet())
    assert read_embedding(tmp_path / "e.h5ad")[1].facts["data"] == origin
