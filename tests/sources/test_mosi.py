"""CMU-MOSI: layouts, tokens and word pieces, splits by video, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from mosi_data import mag_bert, mmsa, mosi_recipe, published_folder, save
from pydantic import ValidationError
from real import real_data
from text_models import PIECES, minilm, small_bert

from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.data.samples import read_samples
from omib_cli.encoders.pretrained import read_tokenizer, vocabulary
from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.job import Job
from omib_cli.sources.mosi.source import CmuMosiSource
from omib_cli.stages import prepare, train
from omib_cli.training.inference import dataset_facts
from omib_cli.training.model import fresh_model

ALL = {"text": "text", "audio": "conv1d", "visual": "conv1d"}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("models") / "bert")


def planned(recipe, folder):
    source = CmuMosiSource(recipe, folder)
    plan = source.plan()
    return source, plan, source.block(0, len(plan.ids))


def piece(*names):
    return [PIECES.index(name) for name in names]


class TestMagBert:
    def recipe(self, bert, modalities=ALL, **data):
        return mosi_recipe(modalities, tokenizer=str(bert), max_length=7, standardise="none", **data)

    def test_words_become_word_pieces_with_the_words_features_repeated(self, tmp_path, bert):
        made = mag_bert()
        _, plan, block = planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))
        for split in made:
            for (words, visual, acoustic), label, segment in made[split]:
                row = plan.ids.index(segment)
                own = [(p, place) for place, word in enumerate(words) for p in SPELT[word]][:5]
                tokens = [*piece("[CLS]"), *piece(*(p for p, _ in own)), *piece("[SEP]")]
                assert block.values["text"][row].tolist() == tokens + [-1] * (7 - len(tokens))
                for name, features in (("audio", acoustic), ("visual", visual)):
                    got = block.values[name][row]
                    assert got[:, -1].tolist() == [1.0] * len(tokens) + [0.0] * (7 - len(tokens))
                    assert not got[0, :-1].any()
                    assert not got[len(tokens) - 1 :, :-1].any()
                    expected = features[[place for _, place in own]].astype(np.float32)
                    np.testing.assert_array_equal(got[1 : len(tokens) - 1, :-1], expected)
                assert block.labels[row] == label[0, 0]

    def test_long_texts_are_cut_before_the_last_special_token(self, tmp_path, bert):
        made = mag_bert()
        words = ["unreal", "films", "unreal"]  # six pieces, of which five have room
        made["train"][0] = ((words, np.ones((3, 3)), np.ones((3, 4))), 1.0, "a_va[0]")
        _, plan, block = planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))
        got = block.values["text"][plan.ids.index("a_va[0]")].tolist()
        assert got == piece("[CLS]", "un", "##real", "film", "##s", "un", "[SEP]")

    def test_shapes_splits_groups_and_the_model_come_with_the_dataset(self, tmp_path, bert):
        _, plan, block = planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", mag_bert()))
        shapes = {name: (modality.kind, modality.shape) for name, modality in plan.modalities.items()}
        assert shapes == {"text": ("tokens", (7,)), "audio": ("sequence", (7, 5)), "visual": ("sequence", (7, 4))}
        assert np.bincount(plan.split).tolist() == [12, 3, 6]
        assert set(plan.groups) == {f"{video}_v{video}" for video in "abcdefg"}
        assert plan.modalities["text"].config["model"]["hidden_size"] == 16
        assert plan.modalities["text"].config["tokenizer"] == "bert"
        assert plan.modalities["text"].config["vocabulary"] == vocabulary(read_tokenizer(bert))
        assert block.values["text"].dtype == np.int32
        assert all(present.all() for present in block.present.values())

    def test_infinite_values_become_zero_and_are_counted(self, tmp_path, bert):
        made = mag_bert()
        acoustic = made["train"][0][0][2]
        acoustic[0, :3] = [-np.inf, np.nan, 1e300]
        source, plan, block = planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))
        row = plan.ids.index(made["train"][0][2])
        assert block.values["audio"][row, 1, :3].tolist() == [0.0, 0.0, 0.0]
        assert plan.facts["non_finite"] == {"audio": 3}
        assert any("3 values of audio" in warning for warning in source.warnings)

    def test_without_a_tokenizer_sequences_go_by_word(self, tmp_path):
        made = mag_bert()
        recipe = mosi_recipe({"audio": "conv1d", "visual": "conv1d"}, max_length=3, standardise="none")
        _, plan, block = planned(recipe, save(tmp_path / "d", "mosi.pkl", made))
        (words, _, acoustic), _, segment = made["test"][0]
        got = block.values["audio"][plan.ids.index(segment)]
        assert got.shape == (3, 5)
        assert got[:, -1].sum() == min(3, len(words))
        np.testing.assert_array_equal(got[: len(words), :-1], acoustic[:3].astype(np.float32))

    def test_scaling_is_fitted_on_the_elements_of_training_alone(self, tmp_path, bert):
        made = mag_bert()
        recipe = mosi_recipe(ALL, tokenizer=str(bert), standardise="zscore")
        _, plan, block = planned(recipe, save(tmp_path / "d", "mosi.pkl", made))
        elements = np.concatenate([parts[2] for parts, _, _ in made["train"]]).astype(np.float32)
        fitted = plan.modalities["audio"].preprocessing
        np.testing.assert_allclose(fitted["offset"], elements.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(fitted["scale"], elements.std(axis=0), atol=1e-6)
        row = plan.ids.index(made["test"][0][2])
        expected = (made["test"][0][0][2][0] - fitted["offset"]) / fitted["scale"]
        np.testing.assert_allclose(block.values["audio"][row, 1, :-1], expected, atol=1e-5)
        assert not block.values["audio"][row, 0, :-1].any()

    def test_a_mean_vector_may_stand_for_a_sequence(self, tmp_path):
        made = mag_bert()
        features = {"audio": "vector", "visual": "vector"}
        recipe = mosi_recipe(dict.fromkeys(features, "mlp"), features=features, standardise="none")
        _, plan, block = planned(recipe, save(tmp_path / "d", "mosi.pkl", made))
        parts, _, segment = made["dev"][0]
        np.testing.assert_allclose(block.values["audio"][plan.ids.index(segment)], parts[2].mean(axis=0), rtol=1e-5)

    def test_a_video_on_two_sides_is_refused(self, tmp_path, bert):
        made = mag_bert()
        parts, label, _ = made["test"][0]
        made["test"][0] = (parts, label, "a_va[9]")
        with pytest.raises(DataError, match="cuts 1 group") as caught:
            planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))
        assert "a_va" in caught.value.got

    def test_features_that_do_not_fit_the_words_are_refused(self, tmp_path, bert):
        made = mag_bert()
        (words, visual, acoustic), label, segment = made["train"][4]
        made["train"][4] = ((words, visual, acoustic[:-1]), label, segment)
        with pytest.raises(DataError, match="do not fit the words") as caught:
            planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))
        assert segment in caught.value.where

    @pytest.mark.parametrize("label", [3.5, float("nan"), [1.0, 2.0], "x"])
    def test_a_label_that_is_no_sentiment_is_refused(self, tmp_path, bert, label):
        made = mag_bert()
        parts, _, segment = made["train"][4]
        made["train"][4] = (parts, label, segment)
        with pytest.raises(DataError, match="no sentiment"):
            planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))

    def test_ids_that_occur_twice_are_refused(self, tmp_path, bert):
        made = mag_bert()
        made["train"].append(made["train"][0])
        with pytest.raises(DataError, match="same id"):
            planned(self.recipe(bert), save(tmp_path / "d", "mosi.pkl", made))


SPELT = {
    "films": ["film", "##s"],
    "unreal": ["un", "##real"],
    **{word: [word] for word in ("good", "film", "was", "bad", "it", "a")},
}


class TestMmsa:
    @pytest.mark.parametrize("aligned", [True, False])
    def test_padding_goes_to_the_end_whichever_side_it_was_on(self, tmp_path, bert, aligned):
        made = mmsa(aligned)
        recipe = mosi_recipe(ALL, tokenizer=str(bert), standardise="none")
        _, plan, block = planned(recipe, save(tmp_path / "d", "aligned_50.pkl", made))
        assert plan.modalities["audio"].shape == (6, 6)
        assert plan.modalities["visual"].shape == (8, 3)
        for part in made.values():
            for row, name in enumerate(part["id"]):
                length = 1 + row % 4
                got = block.values["visual"][plan.ids.index(name)]
                assert got[:, -1].tolist() == [1.0] * length + [0.0] * (8 - length)
                real = part["vision"][row][-length:] if aligned else part["vision"][row][:length]
                np.testing.assert_array_equal(got[:length, :-1], real)

    def test_videos_and_labels_are_read(self, tmp_path):
        made = mmsa()
        recipe = mosi_recipe({"audio": "conv1d", "visual": "conv1d"})
        _, plan, block = planned(recipe, save(tmp_path / "d", "aligned_50.pkl", made))
        assert plan.groups[0] == "_a_v"
        assert block.labels[:12].tolist() == made["train"]["regression_labels"].astype(float).tolist()

    def test_a_sequence_of_zeros_alone_is_a_missing_modality(self, tmp_path):
        made = mmsa()
        made["train"]["vision"][2] = 0.0
        recipe = mosi_recipe({"audio": "conv1d", "visual": "conv1d"})
        _, plan, block = planned(recipe, save(tmp_path / "d", "aligned_50.pkl", made))
        assert np.flatnonzero(~block.present["visual"]).tolist() == [2]
        assert not block.values["visual"][2].any()
        assert plan.facts["missing"] == {"visual": 1}

    def test_text_features_of_the_file_can_stand_for_the_text(self, tmp_path):
        made = mmsa()
        for part in made.values():
            count = len(part["id"])
            part["text"] = np.ones((count, 5, 3), dtype=np.float32)
            part["text_bert"] = np.zeros((count, 3, 5))
            part["text_bert"][:, 1, :2] = 1.0
        recipe = mosi_recipe({"text": "conv1d", "audio": "conv1d"}, standardise="none")
        _, plan, block = planned(recipe, save(tmp_path / "d", "aligned_50.pkl", made))
        assert plan.modalities["text"].shape == (5, 4)
        assert block.values["text"][0, :, -1].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]

    def test_tokens_are_those_of_the_transformers_library(self, tmp_path):
        from transformers import AutoTokenizer

        from omib_cli.encoders.pretrained import model_folder

        name, made = minilm(), mmsa()
        texts = ["an unbelievably GOOD film, wasn't it?", "naïve " * 80]
        made["train"]["raw_text"] = np.array([*texts, *made["train"]["raw_text"][2:]])
        recipe = mosi_recipe(ALL, tokenizer=name)
        _, _, block = planned(recipe, save(tmp_path / "d", "aligned_50.pkl", made))
        tokenizer = AutoTokenizer.from_pretrained(model_folder(name, "x"))
        for row, text in enumerate(made["train"]["raw_text"]):
            ids = tokenizer(str(text), truncation=True, max_length=50)["input_ids"]
            assert block.values["text"][row].tolist() == ids + [-1] * (50 - len(ids))


class TestFolder:
    def recipe(self, bert, **data):
        return mosi_recipe({"text": "text", "audio": "mlp"}, tokenizer=str(bert), **data)

    def test_text_is_tokenised_and_features_are_joined_by_id(self, tmp_path, bert):
        folder = published_folder(tmp_path / "d")
        source, plan, block = planned(self.recipe(bert, standardise="none"), folder)
        archive = np.load(folder / "features.npz")
        row = plan.ids.index("c_1")
        place = archive["utterance_id"].tolist().index("c_1")
        np.testing.assert_allclose(block.values["audio"][row], archive["audio"][place], rtol=1e-6)
        assert block.values["text"][row, 0] == PIECES.index("[CLS]")
        missing = [plan.ids[i] for i in np.flatnonzero(~block.present["audio"])]
        assert missing == ["g_0", "g_1", "g_2"]
        assert block.present["text"].all()
        assert any("3 utterances without audio" in warning for warning in source.warnings)

    def test_both_published_divisions_can_be_had(self, tmp_path, bert):
        folder = published_folder(tmp_path / "d")
        assert np.bincount(planned(self.recipe(bert), folder)[1].split).tolist() == [12, 3, 6]
        plan = planned(self.recipe(bert, fold="bclstm_split", validation=0.25), folder)[1]
        counts = np.bincount(plan.split, minlength=3).tolist()
        assert counts[2] == 6
        assert counts[1] in (3, 6)
        sides = {group: set() for group in plan.groups}
        for group, code in zip(plan.groups, plan.split.tolist(), strict=True):
            sides[group].add(code)
        assert all(len(side) == 1 for side in sides.values())

    @pytest.mark.parametrize("name", ["text", "visual"])
    def test_features_that_know_the_test_labels_are_refused(self, tmp_path, name):
        folder = published_folder(tmp_path / "d")
        modalities = {name: "mlp", "audio": "mlp"}
        with pytest.raises(DataError, match="trained with labels of the test split") as caught:
            planned(mosi_recipe(modalities), folder)
        assert caught.value.got.startswith("3 of 6")
        assert planned(mosi_recipe(modalities, fold="bclstm_split"), folder)[1].modalities[name].shape == (4,)

    def test_text_alone_with_a_tokenizer_needs_no_features(self, tmp_path, bert):
        folder = published_folder(tmp_path / "d")
        (folder / "features.npz").unlink()
        recipe = mosi_recipe({"text": "text"}, tokenizer=str(bert))
        source = CmuMosiSource(recipe, folder)
        assert {"label.csv", "tokenizer/config.json", "tokenizer/vocab.txt"} <= set(source.files())
        assert len(source.plan().ids) == 21
        with pytest.raises(DataError, match="no such file"):
            planned(self.recipe(bert), folder)

    def test_sequences_cannot_be_had_of_vectors(self, tmp_path, bert):
        with pytest.raises(RecipeError) as caught:
            CmuMosiSource(self.recipe(bert, features={"audio": "sequence"}), published_folder(tmp_path / "d"))
        assert "data.features.audio" in caught.value.problems[0]

    def test_a_video_on_two_sides_is_refused(self, tmp_path, bert):
        folder = published_folder(tmp_path / "d")
        text = (folder / "label.csv").read_text()
        lines = [line.replace(",test,", ",train,", 1) if line.startswith("f_1") else line for line in text.splitlines()]
        (folder / "label.csv").write_text("\n".join(lines))
        with pytest.raises(DataError, match="cuts 1 group"):
            planned(self.recipe(bert), folder)


class TestRefusals:
    def test_a_pickle_that_carries_code_is_refused_and_nothing_is_executed(self, tmp_path):
        class Runs:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "made"),)

        made = mag_bert()
        made["train"].append(Runs())
        with pytest.raises(DataError, match="mkdir, and nothing of it was executed"):
            planned(mosi_recipe({"audio": "conv1d"}), save(tmp_path / "d", "mosi.pkl", made))
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize(
        ("value", "got"),
        [
            ([1, 2], "a list"),
            ({"train": {"facet": np.ones(2)}, "test": {"facet": np.ones(2)}}, "keys train, test, with facet inside"),
            ({"train": [], "test": [1.0]}, "keys train, test"),
        ],
    )
    def test_a_pickle_of_an_unknown_layout_says_what_was_found_and_expected(self, tmp_path, value, got):
        with pytest.raises(DataError, match="unknown layout") as caught:
            planned(mosi_recipe({"audio": "conv1d"}), save(tmp_path / "d", "mosi.pkl", value))
        assert caught.value.got == got
        assert "((words, visual, acoustic), label, segment)" in caught.value.expected
        assert "raw_text" in caught.value.expected

    def test_a_layout_that_is_another_than_the_recipe_says_is_refused(self, tmp_path):
        folder = save(tmp_path / "d", "x.pkl", mmsa())
        with pytest.raises(DataError, match="another layout") as caught:
            planned(mosi_recipe({"audio": "conv1d"}, layout="mag-bert"), folder)
        assert caught.value.do.startswith("set data.layout: mmsa")

    def test_one_of_several_pickles_must_be_named(self, tmp_path):
        folder = save(tmp_path / "d", "a.pkl", mmsa())
        save(folder, "b.pkl", mag_bert())
        with pytest.raises(DataError, match="which pickle file"):
            planned(mosi_recipe({"audio": "conv1d"}), folder)
        assert planned(mosi_recipe({"audio": "conv1d"}, file="b.pkl"), folder)[1].modalities["audio"].shape == (50, 5)
        assert planned(mosi_recipe({"audio": "conv1d"}), folder / "a.pkl")[1].modalities["audio"].shape == (6, 6)

    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "photo.jpg").touch()
        with pytest.raises(DataError, match="no layout of CMU-MOSI") as caught:
            planned(mosi_recipe({"audio": "conv1d"}), tmp_path)
        assert "photo.jpg" in caught.value.got

    def test_modalities_and_tasks_that_the_source_does_not_have_are_named_together(self, tmp_path):
        recipe = mosi_recipe({"audio": "mlp"})
        values = {**recipe.resolved(), "task": {"kind": "classification"}}
        values["modalities"] = {"audio": values["modalities"]["audio"], "smell": values["modalities"]["audio"]}
        with pytest.raises(RecipeError) as caught:
            CmuMosiSource(type(recipe).model_validate(values), tmp_path)
        assert [problem.split(":")[0] for problem in caught.value.problems] == ["modalities.smell", "task.kind"]

    def test_tokens_need_a_tokenizer_and_are_of_text(self):
        with pytest.raises(ValidationError, match="need a `tokenizer`"):
            mosi_recipe({"text": "text"}, features={"text": "tokens"})
        with pytest.raises(ValidationError, match="only text has `tokens`"):
            mosi_recipe({"audio": "text"}, features={"audio": "tokens"}, tokenizer="x")

    def test_a_folder_that_is_no_text_model_is_refused(self, tmp_path):
        folder = save(tmp_path / "d", "mosi.pkl", mag_bert())
        with pytest.raises(DataError, match="not one of a text model"):
            planned(mosi_recipe({"text": "text"}, tokenizer=str(folder)), folder)
        with pytest.raises(DataError) as caught:
            planned(mosi_recipe({"text": "text"}, tokenizer="bert-base-uncased"), folder)
        assert "hf download bert-base-uncased" in caught.value.do

    def test_a_folder_without_a_tokenizer_is_refused(self, tmp_path):
        bare = small_bert(tmp_path / "bert")
        for path in [*bare.glob("tokenizer*"), *bare.glob("vocab*")]:
            path.unlink()
        folder = save(tmp_path / "d", "mosi.pkl", mag_bert())
        with pytest.raises(DataError, match="not one of a text model") as caught:
            planned(mosi_recipe({"text": "text"}, tokenizer=str(bare)), folder)
        assert "tokenizer" in caught.value.got

    def test_more_tokens_than_the_model_has_positions_for_are_refused(self, tmp_path, bert):
        folder = save(tmp_path / "d", "mosi.pkl", mag_bert())
        with pytest.raises(DataError, match="positions") as caught:
            planned(mosi_recipe({"text": "text"}, tokenizer=str(bert), max_length=65), folder)
        assert "64" in caught.value.expected


def test_a_text_and_two_sequences_go_through_the_whole_chain(tmp_path, bert):
    recipe = mosi_recipe(ALL, tokenizer=str(bert), max_length=9)
    job = Job(device="cpu", threads=1, command="test")
    folder = save(tmp_path / "d", "mosi.pkl", mag_bert())
    dataset = prepare.run(recipe, folder, tmp_path / "dataset.h5", job).out
    with Dataset(dataset, EVERYTHING) as data:
        whole = CmuMosiSource(recipe, folder)
        plan = whole.plan()
        stored = data.values("audio", range(len(plan.ids)))
        np.testing.assert_array_equal(stored, whole.block(0, len(plan.ids)).values["audio"])
        np.testing.assert_array_equal(whole.block(5, 9).values["text"], data.values("text", range(5, 9)))
    assert train.run(recipe, dataset, tmp_path / "model.safetensors", job).out.exists()


def test_the_papers_recipe_builds_the_papers_network_from_the_papers_file(tmp_path, bert):
    recipe = load_recipe("cmu-mosi", [f"data.tokenizer={bert}", f"modalities.text.encoder.weights={bert}"])
    folder = save(tmp_path / "d", "mosi.pkl", mag_bert(audio=74, visual=47))
    job = Job(device="cpu", threads=1, command="test")
    dataset = prepare.run(recipe, folder, tmp_path / "dataset.h5", job).out
    with Dataset(dataset) as data:
        shapes = [modality.shape for modality in data.modalities.values()]
        model = fresh_model(recipe, dataset_facts(data), torch.device("cpu"), pytest.fail)
        batch = read_samples(data, data.rows("train"), torch.device("cpu"))
    assert shapes == [(50,), (50, 75), (50, 48)]
    assert [z.shape for z in model.encode(batch.values, batch.batch)] == [(12, 512)] * 3
    assert sum(p.numel() for p in model.encoders[1].parameters()) == 74 * 512 * 3 + 512
    assert model.fuse(batch).embedding.shape == (12, 512)
    for phase in (recipe.warmup, recipe.train):
        assert (phase.batch, phase.optimiser.kind, phase.optimiser.lr) == (32, "adam", 1e-5)
    assert recipe.warmup.epochs + recipe.train.epochs == 50


def test_the_published_folder_has_the_standard_split_and_no_video_on_two_sides():
    folder = real_data("cmu_mosi")
    recipe = mosi_recipe({"text": "text", "audio": "mlp"}, tokenizer=minilm())
    source, plan, block = planned(recipe, folder)
    assert np.bincount(plan.split).tolist() == [1284, 229, 686]
    assert len(set(plan.groups)) == 93
    assert plan.modalities["audio"].shape == (73,)
    assert block.values["text"].shape == (2199, 50)
    assert abs(block.values["audio"][:1284].mean()) < 1e-3
    assert source.warnings == []
    with pytest.raises(DataError) as caught:
        planned(mosi_recipe({"text": "mlp", "audio": "mlp"}), folder)
    assert caught.value.got.startswith("558 of 686")
    plan = planned(mosi_recipe({"text": "mlp", "visual": "mlp"}, fold="bclstm_split"), folder)[1]
    assert np.bincount(plan.split, minlength=3).tolist() == [1447, 0, 752]


class TestOddFiles:
    """Legal and odd: read rightly, or refused."""

    def test_bytes_are_text_wherever_a_layout_has_text(self, tmp_path, bert):
        plain, odd = mag_bert(), mag_bert()
        for split, items in odd.items():
            odd[split] = [
                (([word.encode() for word in words], v, a), label, segment.encode())
                for (words, v, a), label, segment in items
            ]
        recipe = mosi_recipe(ALL, tokenizer=str(bert), max_length=7)
        _, plan, block = planned(recipe, save(tmp_path / "a", "mosi.pkl", plain))
        _, other, same = planned(recipe, save(tmp_path / "b", "mosi.pkl", odd))
        assert other.ids == plan.ids
        np.testing.assert_array_equal(same.values["text"], block.values["text"])
        plain, odd = mmsa(), mmsa()
        for part in odd.values():
            part["raw_text"] = part["raw_text"].astype("S")
            part["id"] = np.array(part["id"]).astype("S")
        _, plan, block = planned(recipe, save(tmp_path / "c", "x.pkl", plain))
        _, other, same = planned(recipe, save(tmp_path / "d", "x.pkl", odd))
        assert other.ids == plan.ids
        np.testing.assert_array_equal(same.values["text"], block.values["text"])

    @pytest.mark.parametrize("word", [7, None, b"\xff", ["good"]])
    def test_a_word_that_is_no_text_is_refused(self, tmp_path, bert, word):
        made = mag_bert()
        (words, visual, acoustic), label, segment = made["train"][4]
        made["train"][4] = (([word, *words[1:]], visual, acoustic), label, segment)
        with pytest.raises(DataError, match="no text") as caught:
            planned(mosi_recipe(ALL, tokenizer=str(bert)), save(tmp_path / "d", "mosi.pkl", made))
        assert segment in caught.value.where

    @pytest.mark.parametrize("key", ["audio", "vision", "raw_text", "regression_labels", "audio_lengths"])
    def test_each_split_has_as_many_rows_as_ids_whatever_the_totals(self, tmp_path, bert, key):
        made = mmsa(aligned=False)
        rows = [np.asarray(part[key]) for part in made.values()]
        whole, cuts = np.concatenate(rows), np.cumsum([len(one) for one in rows])
        for part, one in zip(made.values(), np.split(whole, [cuts[0] + 1, cuts[1]]), strict=True):
            part[key] = one
        with pytest.raises(DataError, match="different lengths") as caught:
            planned(mosi_recipe(ALL, tokenizer=str(bert)), save(tmp_path / "d", "x.pkl", made))
        assert caught.value.where == f"x.pkl, train/{key}"
        assert (caught.value.got, caught.value.expected) == ("13 values", "12 ids")

    def test_padding_in_front_is_taken_off_by_the_stated_lengths(self, tmp_path):
        made = mmsa(aligned=False)
        for part in made.values():
            part["vision"] = np.flip(part["vision"], axis=1).copy()
        recipe = mosi_recipe({"audio": "conv1d", "visual": "conv1d"}, standardise="none")
        _, plan, block = planned(recipe, save(tmp_path / "d", "x.pkl", made))
        for part in made.values():
            for row, name in enumerate(part["id"]):
                length = part["vision_lengths"][row]
                got = block.values["visual"][plan.ids.index(name)]
                np.testing.assert_array_equal(got[:length, :-1], part["vision"][row][-length:])
                assert got[:, -1].sum() == length

    @pytest.mark.parametrize("length", [-1, 7, 1.5, 2])
    def test_lengths_that_do_not_fit_the_sequences_are_refused(self, tmp_path, length):
        made = mmsa(aligned=False)
        made["test"]["audio_lengths"][3] = length  # it has four elements, at the end of nothing
        with pytest.raises(DataError, match="lengths that"):
            planned(mosi_recipe({"audio": "conv1d"}), save(tmp_path / "d", "x.pkl", made))

    def test_an_array_that_only_some_splits_have_is_refused(self, tmp_path):
        made = mmsa()
        del made["valid"]["vision"]
        with pytest.raises(DataError, match="not every split has 'vision'"):
            planned(mosi_recipe({"audio": "conv1d"}), save(tmp_path / "d", "x.pkl", made))

    @pytest.mark.parametrize("extra", [-1, 1])
    def test_the_archive_has_as_many_ids_as_rows(self, tmp_path, extra):
        folder = published_folder(tmp_path / "d")
        archive = dict(np.load(folder / "features.npz"))
        ids = [*archive["utterance_id"], "z_0"]
        archive["utterance_id"] = np.array(ids[: len(ids) - 1 + extra])
        np.savez(folder / "features.npz", **archive)
        with pytest.raises(DataError, match="different lengths") as caught:
            planned(mosi_recipe({"audio": "mlp"}), folder)
        assert "features.npz:audio" in caught.value.where

    @pytest.mark.parametrize("written", ["c_1", "", "NA"])
    def test_ids_of_the_archive_are_there_once(self, tmp_path, written):
        folder = published_folder(tmp_path / "d")
        archive = dict(np.load(folder / "features.npz"))
        archive["utterance_id"] = np.array([written, *archive["utterance_id"][1:]])
        np.savez(folder / "features.npz", **archive)
        with pytest.raises(DataError, match="same id" if written == "c_1" else "without an id"):
            planned(mosi_recipe({"audio": "mlp"}), folder)

    def test_rows_of_the_archive_that_no_label_knows_are_said(self, tmp_path):
        folder = published_folder(tmp_path / "d")
        lines = (folder / "label.csv").read_text().splitlines()
        (folder / "label.csv").write_text("\n".join(line for line in lines if not line.startswith("a_1,")) + "\n")
        source, _, _ = planned(mosi_recipe({"audio": "mlp", "visual": "mlp"}, fold="bclstm_split"), folder)
        assert sum("1 row of features.npz without an utterance" in warning for warning in source.warnings) == 1

    @pytest.mark.parametrize("column", ["utterance_id", "video_id"])
    def test_a_row_of_the_labels_without_an_id_or_a_video_is_refused(self, tmp_path, column):
        folder = published_folder(tmp_path / "d")
        text = (folder / "label.csv").read_text()
        other = text.replace("c_1,c,", "NA,c," if column == "utterance_id" else "c_1,NA,")
        (folder / "label.csv").write_text(other)
        with pytest.raises(DataError, match="without an id" if column == "utterance_id" else "without a video"):
            planned(mosi_recipe({"audio": "mlp"}), folder)

    def test_a_validation_share_far_from_the_one_asked_for_is_said(self, tmp_path):
        folder = published_folder(tmp_path / "d")
        recipe = mosi_recipe({"audio": "mlp"}, fold="bclstm_split", validation=0.02)
        source, plan, _ = planned(recipe, folder)
        assert np.bincount(plan.split)[1] == 3
        assert any("a share of 0.02 was asked for, and 3 of 15" in warning for warning in source.warnings)
