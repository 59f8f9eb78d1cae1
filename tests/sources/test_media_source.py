"""CREMA-D, RAVDESS and any folder of clips: labels, splits, masks, and what is refused."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
import soundfile
from media_data import ACTORS, CLIPS, EMOTIONS, crema_d, everything, media_recipe
from real import real_data

from omib_cli.errors import DataError, OmibError, RecipeError
from omib_cli.sources.media.naming import CREMA_D
from omib_cli.sources.media.source import CremaDSource, MediaSource


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return crema_d(tmp_path_factory.mktemp("media") / "crema-d", real_data("ravdess_clips"))


@pytest.fixture
def folder(published, tmp_path):
    """A copy of one's own to damage."""
    return shutil.copytree(published, tmp_path / "crema-d")


def parts(plan):
    """Ids by split."""
    return [{one for one, code in zip(plan.ids, plan.split, strict=True) if code == side} for side in range(3)]


def test_the_public_layout_becomes_spectrograms_frames_and_labels(published):
    source = CremaDSource(media_recipe(), published)
    plan, block = everything(source)
    assert sorted(plan.ids) == sorted(CLIPS)
    assert plan.classes == ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"]
    assert [plan.classes[int(code)] for code in block.labels] == [one.split("_")[2] for one in plan.ids]
    assert plan.groups == [one.split("_")[0] for one in plan.ids]
    assert (plan.modalities["audio"].kind, plan.modalities["audio"].shape) == ("spectrogram", (257, 188))
    assert (plan.modalities["video"].kind, plan.modalities["video"].shape) == ("video", (2, 3, 24, 24))
    assert block.values["audio"].shape == (30, 257, 188)
    assert block.values["audio"].dtype == np.float32
    assert block.values["video"].shape == (30, 2, 3, 24, 24)
    assert block.values["video"].dtype == np.uint8
    assert all(present.all() for present in block.present.values())
    assert source.warnings == []


def test_a_block_is_the_same_whatever_was_read_before(published):
    source = CremaDSource(media_recipe(), published)
    plan, whole = everything(source)
    again = CremaDSource(media_recipe(), published)
    assert again.plan().ids == plan.ids
    part = again.block(11, 14)
    for name in ("audio", "video"):
        np.testing.assert_array_equal(part.values[name], whole.values[name][11:14])
    np.testing.assert_array_equal(part.labels, whole.labels[11:14])


def test_every_source_file_is_named_with_its_hash(published):
    files = CremaDSource(media_recipe(), published).files()
    assert len(files) == 60
    path = f"AudioWAV/{CLIPS[3]}.wav"
    assert files[path] == hashlib.sha256((published / path).read_bytes()).hexdigest()
    assert set(CremaDSource(media_recipe(modalities=("video",)), published).files()) == {
        f"VideoFlash/{clip}.flv" for clip in CLIPS
    }


def test_actors_stand_on_one_side_unless_clips_are_divided_one_by_one(published):
    plan = CremaDSource(media_recipe(split={"test": 0.2, "validation": 0.25}), published).plan()
    actors = [{one[:4] for one in part} for part in parts(plan)]
    assert [len(one) for one in actors] == [3, 1, 1]
    assert not (actors[0] & actors[1] | actors[0] & actors[2] | actors[1] & actors[2])
    source = CremaDSource(media_recipe(split={"by": "stratified", "test": 0.2}), published)
    train, _, test = parts(source.plan())
    assert sorted(one.split("_")[2] for one in test) == sorted(EMOTIONS)
    assert {one[:4] for one in train} & {one[:4] for one in test}
    assert "clips in two splits" in " ".join(source.warnings)


def test_folds_keep_actors_whole_and_test_every_clip_once(published):
    found = []
    for number in (1, 2, 3):
        split = {"fold": {"number": number, "folds": 3}}
        train, _, test = parts(CremaDSource(media_recipe(split=split, modalities=("audio",)), published).plan())
        assert not {one[:4] for one in train} & {one[:4] for one in test}
        found += test
    assert sorted(found) == sorted(CLIPS)


def test_folds_pool_published_lists_or_leave_their_test_clips_out(folder):
    published_lists(folder, CLIPS[:6])
    pooled = {"by": "given", "fold": {"number": 1, "folds": 2}}
    source = CremaDSource(media_recipe(split=pooled, modalities=("audio",)), folder)
    assert len(source.plan().ids) == 30
    assert any("pooled and divided into 2 folds" in warning for warning in source.warnings)
    pooled["fold"]["within"] = "train"
    plan = CremaDSource(media_recipe(split=pooled, modalities=("audio",)), folder).plan()
    assert sorted(plan.ids) == sorted(CLIPS[6:])
    assert {len(part) for part in parts(plan)} == {0, 12}


def published_lists(folder, test: list[str], extra: str = ""):
    """The two lists: name,EMO, with a byte order mark in one of them."""
    train = [clip for clip in CLIPS if clip not in test]
    lines = [f"{clip},{clip.split('_')[2]}\n" for clip in train]
    (folder / "train.csv").write_text("\ufeff" + "".join(lines) + extra, encoding="utf-8")
    (folder / "test.csv").write_text("".join(f"{clip},{clip.split('_')[2]}\n" for clip in test))


def test_published_lists_are_followed_and_validation_is_carved_out_of_training(folder):
    published_lists(folder, CLIPS[:6])
    (folder / "AudioWAV" / "1099_IEO_SAD_HI.wav").write_bytes((folder / f"AudioWAV/{CLIPS[0]}.wav").read_bytes())
    recipe = media_recipe(split={"by": "given", "validation": 0.25})
    source = CremaDSource(recipe, folder)
    plan = source.plan()
    train, validation, test = parts(plan)
    assert test == set(CLIPS[:6])
    assert len(validation) == 6
    assert sorted(one.split("_")[2] for one in validation) == sorted(EMOTIONS)
    assert train | validation == set(CLIPS[6:])
    assert plan.facts["dropped_rows"] == {"clips in no list": 1}
    assert {"train.csv", "test.csv"} <= set(source.files())


def test_listed_clips_without_files_are_counted_and_refused_above_the_tolerance(folder):
    published_lists(folder, CLIPS[:6], extra="1099_IEO_SAD_HI,SAD\n")
    given = {"by": "given"}
    assert "1 of 31 clips lack a modality" in refusal(folder, split=given)
    source = CremaDSource(media_recipe(split=given, tolerance=0.05), folder)
    assert source.plan().facts["dropped_rows"] == {"clips without a readable file": 1}
    assert any("1 clips without a readable file" in warning for warning in source.warnings)


def test_every_published_name_is_understood():
    names = (real_data("crema_d") / "clip_ids.txt").read_text().split()
    said = [CREMA_D.read(name) for name in names]
    assert len(said) == 7442
    assert None not in said
    assert len({actor for _, actor in said}) == 91
    counts = {emotion: sum(one == emotion for one, _ in said) for emotion in EMOTIONS}
    assert counts == {"NEU": 1087, "HAP": 1271, "SAD": 1271, "FEA": 1271, "DIS": 1271, "ANG": 1271}


def refusal(folder, kind: type[OmibError] = DataError, source=CremaDSource, **options) -> str:
    recipe = media_recipe("crema-d" if source is CremaDSource else "media", **options)
    with pytest.raises(kind) as caught:
        everything(source(recipe, folder))
    assert caught.value.exit_code == (2 if kind is RecipeError else 3)
    return str(caught.value)


def test_absent_and_contradicting_lists_are_refused_with_a_way_out(folder):
    message = refusal(folder, split={"by": "given"})
    with pytest.raises(DataError, match="no such list of the train split"):  # what `omib prepare` asks for first
        CremaDSource(media_recipe(split={"by": "given"}), folder).files()
    assert "train.csv" in message
    assert "data.split.by=group" in message
    published_lists(folder, CLIPS[:6], extra=f"{CLIPS[0]},NEU\n")
    assert "two lists" in refusal(folder, split={"by": "given"})


def damage(folder):
    """A zero-length film, one that is none, a sound that is gone, a sound cut to its header; one clip has nothing."""
    (folder / "VideoFlash" / f"{CLIPS[0]}.flv").write_bytes(b"")
    (folder / "VideoFlash" / f"{CLIPS[1]}.flv").write_bytes(b"<html>404</html>")
    (folder / "AudioWAV" / f"{CLIPS[2]}.wav").unlink()
    whole = folder / "AudioWAV" / f"{CLIPS[3]}.wav"
    whole.write_bytes(whole.read_bytes()[:44])
    (folder / "VideoFlash" / f"{CLIPS[4]}.flv").write_bytes(b"")
    (folder / "AudioWAV" / f"{CLIPS[4]}.wav").write_bytes(b"")


def test_damaged_and_missing_files_are_refused_above_the_tolerance(folder):
    damage(folder)
    message = refusal(folder)
    assert "5 of 30 clips lack a modality" in message
    assert CLIPS[0] in message
    assert f"VideoFlash/{CLIPS[0]}.flv (video)" in message
    assert "0.02" in message
    assert "data.tolerance" in message


def test_tolerated_clips_are_masked_counted_and_named(folder):
    damage(folder)
    source = CremaDSource(media_recipe(tolerance=0.2), folder)
    plan, block = everything(source)
    assert set(plan.ids) == set(CLIPS) - {CLIPS[4]}
    assert plan.facts["missing"] == {"audio": 2, "video": 2}
    assert plan.facts["dropped_rows"] == {"clips without a readable file": 1}
    assert len(plan.facts["unreadable"]) == 5
    assert "cannot be decoded" in plan.facts["unreadable"][f"VideoFlash/{CLIPS[1]}.flv (video)"]
    row = {one: plan.ids.index(one) for one in CLIPS[:4]}
    for name, lost, kept in (("video", CLIPS[:2], CLIPS[2:4]), ("audio", CLIPS[2:4], CLIPS[:2])):
        assert [bool(block.present[name][row[one]]) for one in (*lost, *kept)] == [False, False, True, True]
        assert not any(block.values[name][row[one]].any() for one in lost)
    said = " ".join(source.warnings)
    assert "5 unreadable files" in said
    assert "2 clips without audio: kept and masked" in said


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    assert "AudioWAV/{id}.wav" in refusal(tmp_path)
    (tmp_path / "AudioWAV" / "holiday.wav").write_bytes(b"x")
    assert "1 files with other names" in refusal(tmp_path)
    with pytest.raises(DataError, match="no such input folder"):
        CremaDSource(media_recipe(), tmp_path / "nowhere")


def test_modalities_and_tasks_that_clips_do_not_have_are_refused(published):
    assert "audio and video" in refusal(published, RecipeError, modalities=("audio", "text"))
    assert "classes" in refusal(published, RecipeError, task="regression")


def table(folder, lines: list[str], head: str = "clip,mood,actor,part"):
    (folder / "labels.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder


def rows(split: str = "") -> list[str]:
    return [f"{clip},{clip.split('_')[2].lower()},{clip[:4]},{split}" for clip in CLIPS]


TABLE = {
    "files": {"audio": "AudioWAV/{id}.wav", "video": "VideoFlash/{id}.flv"},
    "labels": {"files": "labels.csv", "id": "clip", "column": "mood", "group": "actor"},
}


def test_a_table_of_labels_serves_any_folder(folder, published):
    plan, block = everything(source := MediaSource(media_recipe("media", **TABLE), table(folder, rows())))
    assert plan.classes == sorted(one.lower() for one in EMOTIONS)
    assert sorted(set(plan.groups)) == [str(actor) for actor in ACTORS]
    assert "labels.csv" in source.files()
    other, expected = everything(CremaDSource(media_recipe(), published))
    places = [other.ids.index(one) for one in plan.ids]
    for name in ("audio", "video"):
        np.testing.assert_array_equal(block.values[name], expected.values[name][places])


def test_a_given_split_and_values_as_labels(folder):
    lines = [f"{clip},{index / 10},{clip[:4]},{'dev' if index < 6 else 'train'}" for index, clip in enumerate(CLIPS)]
    options = {
        **TABLE,
        "labels": {**TABLE["labels"], "split": "part"},
        "split": {"by": "given", "names": {"dev": "test"}},
    }
    recipe = media_recipe("media", task="regression", **options)
    plan, block = everything(MediaSource(recipe, table(folder, lines)))
    assert parts(plan)[2] == set(CLIPS[:6])
    assert block.labels[plan.ids.index(CLIPS[7])] == 0.7


def test_labels_of_unknown_clips_and_clips_without_a_label_are_counted(folder):
    table(folder, [*rows()[1:], "nobody,sad,1001,", f"{CLIPS[0]},,1001,"])
    assert "1 of 30 clips lack a modality" in refusal(folder, source=MediaSource, **TABLE)
    plan = MediaSource(media_recipe("media", tolerance=0.05, **TABLE), folder).plan()
    assert plan.facts["dropped_rows"] == {
        "clips without a readable file": 1,
        "rows of the labels without a label": 1,
    }
    table(folder, rows()[1:])
    plan = MediaSource(media_recipe("media", **TABLE), folder).plan()
    assert plan.facts["dropped_rows"] == {"clips without a label": 1}


def test_ids_that_fit_no_file_are_shown_beside_those_that_are_there(folder):
    table(folder, [f"x{row}" for row in rows()])
    message = refusal(folder, source=MediaSource, **TABLE)
    assert f"'{CLIPS[0]}'" in message
    assert f"'x{CLIPS[0]}'" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": {"audio": "AudioWAV/{id}.wav"}}, "says nothing of the modality video"),
        ({"labels": {**TABLE["labels"], "group": None}}, "data.labels.group"),
        ({"split": {"by": "given"}}, "data.labels.split"),
    ],
)
def test_options_that_leave_something_open_are_refused(folder, change, said):
    table(folder, rows())
    assert said in refusal(folder, RecipeError, MediaSource, **{**TABLE, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": "ravdess"}, "either `labels` or `names`"),
        ({"labels": None}, "either `labels` or `names`"),
        ({"files": {"audio": "AudioWAV/*.wav"}}, "{id}"),
        ({"files": {}}, "needs `files`"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        media_recipe("media", **{**TABLE, **change})


def test_ravdess_names_give_emotions_actors_and_which_streams_a_file_has():
    """Six sounds, and one film whose sound is published beside it."""
    folder = real_data("ravdess_clips")
    split = {"by": "stratified", "test": 0.5}
    plan, block = everything(MediaSource(media_recipe("media", names="ravdess", split=split, tolerance=1.0), folder))
    assert plan.classes == ["neutral", "happy", "angry"]
    assert sorted(plan.ids) == sorted(path.stem[3:] for path in folder.glob("03-*.wav"))
    assert plan.groups == [one[-2:] for one in plan.ids]
    assert [plan.classes[int(code)] for code in block.labels] == [
        {"01": "neutral", "03": "happy", "05": "angry"}[one[3:5]] for one in plan.ids
    ]
    assert block.present["audio"].all()
    assert [one for one, there in zip(plan.ids, block.present["video"], strict=True) if there] == ["01-01-01-01-01-01"]
    assert "5 of 6 clips lack a modality" in refusal(folder, source=MediaSource, names="ravdess", split=split)


def test_without_a_file_of_its_own_the_sound_of_a_film_is_taken(tmp_path):
    film = next(real_data("ravdess_clips").glob("01-*.mp4"))
    for emotion in ("01", "03"):
        for actor in ("01", "02"):
            folder = tmp_path / f"Actor_{actor}"
            folder.mkdir(exist_ok=True)
            shutil.copy(film, folder / f"01-01-{emotion}-01-01-01-{actor}.mp4")
    plan, block = everything(MediaSource(media_recipe("media", names="ravdess", split={"test": 0.5}), tmp_path))
    assert block.present["audio"].all()
    assert block.present["video"].all()
    assert (block.values["audio"].std(axis=(1, 2)) > 1).all()
    assert sorted(plan.groups) == ["01", "01", "02", "02"]
    labels = {"files": "labels.csv", "id": "id", "column": "mood"}
    lines = [f"01-01-{one}-01-01-01-{actor},{one}" for one in ("01", "03") for actor in ("01", "02")]
    table(tmp_path, lines, head="id,mood")
    recipe = media_recipe(
        "media",
        files={"audio": "**/{id}.mp4", "video": "**/{id}.mp4"},
        labels=labels,
        split={"by": "stratified", "test": 0.5},
    )
    _, same = everything(MediaSource(recipe, tmp_path))
    np.testing.assert_array_equal(same.values["audio"], block.values["audio"])


def test_linked_folders_are_followed_and_do_not_run_in_circles(published, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("AudioWAV", "VideoFlash"):
        (folder / name).symlink_to(published / name, target_is_directory=True)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    plan, block = everything(CremaDSource(media_recipe(), folder))
    other, expected = everything(CremaDSource(media_recipe(), published))
    assert plan.ids == other.ids
    np.testing.assert_array_equal(block.values["audio"], expected.values["audio"])


DEEP = {**TABLE, "files": {"audio": "**/{id}.wav", "video": "VideoFlash/{id}.flv"}}


def test_two_different_files_for_one_clip_are_refused_and_copies_are_not(folder):
    table(folder, rows())
    shutil.copytree(folder / "AudioWAV", folder / "AudioWAV" / "copy")
    assert len(MediaSource(media_recipe("media", **DEEP), folder).plan().ids) == 30
    shutil.copy(folder / "AudioWAV" / f"{CLIPS[1]}.wav", folder / "AudioWAV" / "copy" / f"{CLIPS[0]}.wav")
    message = refusal(folder, source=MediaSource, **DEEP)
    assert f"two different files for the clip '{CLIPS[0]}'" in message
    assert f"AudioWAV/copy/{CLIPS[0]}.wav" in message


def test_takes_of_one_clip_in_one_folder_are_refused_too(folder):
    table(folder, rows())
    audio = folder / "AudioWAV"
    for clip in CLIPS:
        (audio / f"{clip}.wav").rename(audio / f"{clip}-1.wav")
    shutil.copy(audio / f"{CLIPS[1]}-1.wav", audio / f"{CLIPS[0]}-2.wav")
    files = {"audio": "AudioWAV/{id}-*.wav", "video": "VideoFlash/{id}.flv"}
    assert "two different files" in refusal(folder, source=MediaSource, **{**TABLE, "files": files})


@pytest.mark.parametrize("blank", ["", "NA", "#N/A", " "])
@pytest.mark.parametrize("by", ["group", "stratified"])
def test_a_clip_without_a_group_is_refused_not_all_groups_forgotten(folder, blank, by):
    lines = rows()
    lines[3] = lines[3].replace(f",{CLIPS[3][:4]},", f",{blank},")
    message = refusal(table(folder, lines), source=MediaSource, **TABLE, split={"by": by, "test": 0.2})
    assert "samples without a group" in message
    assert CLIPS[3] in message


def test_a_split_that_is_given_and_not_used_is_said(folder):
    lines = [line + ("test" if index < 6 else "train") for index, line in enumerate(rows())]
    options = {**TABLE, "labels": {**TABLE["labels"], "split": "part"}, "split": {"by": "group", "test": 0.2}}
    source = MediaSource(media_recipe("media", **options), table(folder, lines))
    source.plan()
    assert "the split that the data gives is not used (`data.split.by: group`)" in source.warnings


def test_a_share_far_from_the_one_asked_for_is_said(folder):
    source = MediaSource(media_recipe("media", **TABLE, split={"test": 0.02}), table(folder, rows()))
    source.plan()
    assert any("a share of 0.02 was asked for, and 6 of 30" in warning for warning in source.warnings)


def test_silent_tiny_and_cut_off_clips_are_counted_and_named(folder):
    audio = folder / "AudioWAV"
    samples, rate = soundfile.read(audio / f"{CLIPS[3]}.wav")
    soundfile.write(audio / f"{CLIPS[0]}.wav", np.zeros(2 * rate), rate)
    soundfile.write(audio / f"{CLIPS[1]}.wav", samples[rate : rate + 500], rate)
    (audio / f"{CLIPS[2]}.wav").write_bytes((audio / f"{CLIPS[2]}.wav").read_bytes()[:20_000])
    assert "3 of 30 clips lack a modality" in refusal(folder)
    reasons = CremaDSource(media_recipe(tolerance=0.2), folder).plan().facts["unreadable"]
    said = ["silence", "hardly any sound", "the file is cut off"]
    for clip, reason in zip(CLIPS, said, strict=False):
        assert reason in reasons[f"AudioWAV/{clip}.wav (audio)"]
    assert len(reasons) == 3


def test_clips_much_longer_or_shorter_than_what_is_used_are_said(folder):
    audio = folder / "AudioWAV"
    samples, rate = soundfile.read(audio / f"{CLIPS[3]}.wav")
    soundfile.write(audio / f"{CLIPS[0]}.wav", np.resize(samples, 60 * rate), rate)
    soundfile.write(audio / f"{CLIPS[1]}.wav", samples[rate : rate + rate // 2], rate)
    source = CremaDSource(media_recipe(audio={"seconds": 3.0}), folder)
    source.plan()
    said = " ".join(source.warnings)
    assert f"more than three times as long as the 3 s that are used (the rest is cut off): {CLIPS[0]} 60.00 s" in said
    assert f"(short sounds are repeated): {CLIPS[1]} 0.50 s" in said


def test_clips_with_the_file_of_another_are_said(published):
    source = CremaDSource(media_recipe(modalities=("video",)), published)
    source.files()
    assert any("video: 27 clips with the file of another clip" in warning for warning in source.warnings)


def test_lists_that_contradict_the_names_are_refused(folder):
    published_lists(folder, CLIPS[:6])
    (folder / "test.csv").write_text("".join(f"{clip},ANG\n" for clip in CLIPS[:6]))
    assert "contradict" in refusal(folder, split={"by": "given"})
    recipe = media_recipe(split={"by": "given"}, lists={"train": "train.csv", "test": "train.csv"})
    with pytest.raises(DataError, match="read the same file"):
        CremaDSource(recipe, folder).plan()
