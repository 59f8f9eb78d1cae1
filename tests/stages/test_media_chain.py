"""From a folder in CREMA-D's public layout to an embedding; and that preparing can be interrupted anywhere."""

from __future__ import annotations

import pytest
from media_data import crema_d, media_recipe
from real import real_data

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import verify
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import embed, prepare, train, warmup


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = crema_d(tmp_path_factory.mktemp("media") / "crema-d", real_data("ravdess_clips"))
    (made / "VideoFlash" / "1003_IEO_SAD_HI.flv").write_bytes(b"")  # one clip is masked throughout the chain
    return made


def recipe(**encoder):
    """One masked clip is tolerated; frames are picked, cut and mirrored in training."""
    made = media_recipe(tolerance=0.1)
    views = {"frames": 1, "crop": 0.5, "flip": True}
    video = made.modalities["video"].encoder.model_copy(update={**views, **encoder})
    modality = made.modalities["video"].model_copy(update={"encoder": video})
    return made.model_copy(update={"modalities": {**made.modalities, "video": modality}})


def test_clips_go_all_the_way_to_an_embedding(folder, tmp_path, job):
    dataset = prepare.run(recipe(), folder, tmp_path / "dataset.h5", job).out
    with Dataset(dataset, EVERYTHING) as data:
        assert data.values("video", range(2)).dtype == "uint8"
        assert int(data.present(data.readable)[:, 1].sum()) == 29
        assert len(data.provenance.facts["files"]) == 60
    warm = warmup.run(recipe(), dataset, tmp_path / "warmup.safetensors", job).out
    model = train.run(recipe(), dataset, tmp_path / "model.safetensors", job, warmup=warm).out
    found = embed.run(dataset, model, tmp_path / "embedding.h5ad", job)
    assert found.figures["samples"] == 30
    for path in (dataset, warm, model, found.out):
        verify(path)


class StopAfter(Progress):
    """Fails at the given block."""

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks

    def advance(self, count, **figures):
        self.blocks -= 1
        if self.blocks == 0:
            raise KeyboardInterrupt


def test_preparing_that_was_interrupted_ends_as_if_it_had_not_been(folder, tmp_path, job, monkeypatch):
    monkeypatch.setattr(fmt, "BLOCK_BYTES", 2**20)  # blocks of four clips
    whole = prepare.run(recipe(), folder, tmp_path / "whole.h5", job)
    out = tmp_path / "pieces.h5"
    for blocks in (1, 3):
        stopped = Job(device="cpu", threads=1, save_every=0.0, command="test", progress=StopAfter(blocks))
        with pytest.raises(KeyboardInterrupt):
            prepare.run(recipe(), folder, out, stopped)
        assert not out.exists()
    assert prepare.run(recipe(), folder, out, job).hash == whole.hash
