"""From every source: trained on one part, unlabelled files of the other predicted by the model alone, all else gone."""

from __future__ import annotations

import gzip
import shutil
import tarfile

import anndata
import numpy as np
from media_data import CLIPS, crema_d, media_recipe
from mosi_data import mag_bert, mosi_recipe, save
from real import real_data
from spatial_data import ANOMALOUS, legacy
from spatial_data import recipe as spatial_recipe
from text_models import small_bert

from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.sources.av_digits import IMAGES, RECORDINGS, AvDigitsSource
from omib_cli.sources.digit_files import read_idx
from omib_cli.stages import embed, predict, prepare, train
from omib_cli.stages.new_samples import NewData

JOB = Job(threads=1, device="cpu")


def must_predict_alone(recipe, folder, part, tmp_path, *, labelled=False, known_as=str):
    """Embed everything; then the new part from the model alone, with the rest deleted.

    ``known_as`` gives the id that a new sample had before.
    """
    dataset = prepare.run(recipe, folder, tmp_path / "d.h5", JOB).out
    model = train.run(recipe, dataset, tmp_path / "m.safetensors", JOB).out
    own = anndata.read_h5ad(embed.run(dataset, model, tmp_path / "own.h5ad", JOB).out)
    shutil.rmtree(folder)
    dataset.unlink()
    found = anndata.read_h5ad(predict.run(NewData(part), model, tmp_path / "p.h5ad", JOB).out)
    assert found.obs["label"].isna().all() != labelled
    assert set(found.obs["split"]) == {"new"}
    np.testing.assert_allclose(found.X, own[[known_as(one) for one in found.obs_names]].X, rtol=0, atol=1e-5)
    return found


def slim(recipe):
    """The same in one epoch."""
    values = recipe.resolved()
    head = {"head": {"hidden": 0}, "beta": {"policy": "value", "value": 0.01}}
    return recipe_model().model_validate(values | head | {"warmup": {"epochs": 1}, "train": {"epochs": 1}})


def test_sections_of_tissue(tmp_path):
    labels = ["cancer" if number % 3 == 0 else "fat" for number in range(36)]
    for name in ("T1", "S1"):
        legacy(tmp_path / "data", name, ord(name[0]), labels)
    part = legacy(tmp_path / "new", "S1", ord("S"))
    recipe = slim(spatial_recipe({"T1": {"split": "train"}, "S1": {"split": "test"}}, labels=ANOMALOUS))
    assert len(must_predict_alone(recipe, tmp_path / "data", part, tmp_path)) == 36


def test_utterances_with_raw_text(tmp_path):
    """The tokenizer's folder is gone too: the model carries it."""
    bert = small_bert(tmp_path / "data/bert")
    made = mosi_recipe({"text": "text", "audio": "conv1d"}, tokenizer=str(bert), max_length=7)
    content = mag_bert()
    folder = save(tmp_path / "data", "mosi.pkl", content)
    new = {"clinic": [(parts, None, segment) for parts, _, segment in content["test"]]}
    must_predict_alone(made, folder, save(tmp_path / "new", "mosi.pkl", new), tmp_path)


def test_clips(tmp_path):
    folder = crema_d(tmp_path / "data", real_data("ravdess_clips"))
    part = tmp_path / "new"
    for kind, ending in (("AudioWAV", "wav"), ("VideoFlash", "flv")):
        (part / kind).mkdir(parents=True)
        for clip in CLIPS[-4:]:
            shutil.copy(folder / kind / f"{clip}.{ending}", part / kind / f"{clip}.{ending}")
    must_predict_alone(media_recipe(), folder, part, tmp_path, labelled=True)  # the names of these clips say the label


def test_digits(tmp_path):
    folder = shutil.copytree(real_data("av_digits"), tmp_path / "data", copy_function=shutil.copyfile)
    encoder = {"kind": "resnet", "channels": 4, "width": 8}
    recipe = slim(
        recipe_model().model_validate(
            {
                "name": "digits",
                "data": {"source": "av-digits", "samples": 60},
                "modalities": {"image": {"encoder": encoder}, "audio": {"encoder": encoder}},
            }
        )
    )
    plan = AvDigitsSource(recipe, folder).plan()
    pairs = np.array(plan.ids)[plan.split == plan.split.max()].tolist()
    part = tmp_path / "new"
    part.mkdir()
    with tarfile.open(folder / RECORDINGS) as every, tarfile.open(part / RECORDINGS, "w:xz") as some:
        spoken = {member.name.rpartition("/")[2].removesuffix(".wav"): member for member in every}
        for place, pair in enumerate(pairs):
            content = every.extractfile(spoken[pair.partition("-")[2]])
            member = tarfile.TarInfo(f"{place:03d}={pair}.wav")
            member.size = spoken[pair.partition("-")[2]].size
            some.addfile(member, content)
    images = read_idx(folder / IMAGES, 3)[[int(pair.partition("-")[0]) for pair in pairs]]
    sizes = b"".join(size.to_bytes(4) for size in images.shape)
    (part / IMAGES).write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + sizes + images.tobytes()))
    found = must_predict_alone(recipe, folder, part, tmp_path, known_as=lambda new: new.partition("=")[2])
    assert len(found) == len(pairs)
