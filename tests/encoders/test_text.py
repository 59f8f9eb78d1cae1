"""The text encoder: the same numbers as the transformers library's, folders that are none, and learning by heart."""

from __future__ import annotations

import json

import pytest
import torch
from batches import encoded, parts_of, whole
from pydantic import ValidationError
from text_models import PIECES, minilm, small_bert

from omib_cli.encoders.pretrained import model_folder, read_config, read_tokenizer, vocabulary
from omib_cli.encoders.text import TextEncoder
from omib_cli.errors import DataError
from omib_cli.recipe.encoders import TextOptions

TOKENS = torch.tensor([[2, 5, 7, 8, 3, -1, -1], [2, 6, 3, -1, -1, -1, -1], [2, 9, 10, 7, 8, 3, -1]])


def encoder_of(folder, pretrained=True, **options):
    torch.manual_seed(0)
    chosen = TextOptions(**{"width": 6, "weights": str(folder), **options})
    made = TextEncoder(chosen, (7,), {"model": read_config(folder, "tokenizer"), "tokenizer": folder.name})
    if pretrained:
        made.load_pretrained()
    return made.eval()


@pytest.fixture
def bert(tmp_path):
    return small_bert(tmp_path / "bert")


@pytest.mark.parametrize("pooling", ["conv", "mean", "cls"])
def test_it_maps_tokens_to_encodings_whatever_the_pooling(bert, pooling):
    assert encoded(encoder_of(bert, pooling=pooling), TOKENS).shape == (3, 6)


def test_its_numbers_are_those_of_the_transformers_library(bert):
    from transformers import AutoModel

    encoder = encoder_of(bert, pooling="mean")
    hidden = AutoModel.from_pretrained(bert).eval()(input_ids=TOKENS[1:2, :3]).last_hidden_state
    torch.testing.assert_close(encoded(encoder, TOKENS)[1:2], encoder.top(hidden.mean(dim=1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["conv", "mean", "cls"])
def test_an_encoding_does_not_depend_on_the_padding_or_the_batch(bert, pooling):
    encoder = encoder_of(bert, pooling=pooling)
    alone = torch.cat([encoded(encoder, TOKENS[row : row + 1, : int((TOKENS[row] >= 0).sum())]) for row in range(3)])
    torch.testing.assert_close(encoded(encoder, TOKENS), alone, rtol=1e-4, atol=1e-5)


def test_tokens_that_are_missing_altogether_have_a_finite_encoding(bert):
    encoder = encoder_of(bert)
    assert torch.isfinite(encoded(encoder, torch.zeros(2, 7, dtype=torch.int32))).all()
    assert torch.isfinite(encoded(encoder, torch.full((2, 7), -1))).all()


@pytest.mark.parametrize(("pooling", "top"), [("conv", 16 * 6 * 3 + 6), ("mean", 16 * 6 + 6), ("cls", 16 * 6 + 6)])
def test_it_has_the_parameters_it_states(bert, pooling, top):
    encoder = encoder_of(bert, pooling=pooling)
    layer = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16
    embeddings = (len(PIECES) + 64 + 2) * 16 + 2 * 16
    assert sum(p.numel() for p in encoder.parameters()) == embeddings + 2 * layer + top


def test_minilm_has_as_many_parameters_as_stated_and_loads_without_a_word(capfd):
    name = minilm()
    folder = model_folder(name, "weights")
    encoder = encoder_of(folder, weights=name)
    assert round(sum(p.numel() for p in encoder.backbone.parameters()) / 1e6, 1) == 22.6
    assert encoded(encoder, torch.tensor([[101, 2009, 2001, 2204, 102, -1]])).shape == (1, 6)
    assert capfd.readouterr().err == ""


def test_without_weights_it_starts_from_scratch(bert):
    scratch = encoder_of(bert, weights=None)
    assert not torch.equal(scratch.backbone.embeddings.word_embeddings.weight, table_of(encoder_of(bert)))


def table_of(encoder):
    return encoder.backbone.embeddings.word_embeddings.weight


def test_all_weights_come_back_without_the_folder(bert, tmp_path):
    encoder = encoder_of(bert)
    copy = encoder_of(bert, pretrained=False, weights=str(tmp_path / "gone"))
    copy.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoded(copy, TOKENS), encoded(encoder, TOKENS))


def test_frozen_layers_neither_learn_nor_drop_out(bert):
    encoder = encoder_of(bert, freeze=True).train()
    assert not encoder.backbone.training
    assert encoder.top.training
    assert torch.equal(encoded(encoder, TOKENS), encoded(encoder, TOKENS))
    encoded(encoder, TOKENS).sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is not None] == ["top.weight", "top.bias"]


def test_layers_that_are_not_frozen_learn_and_drop_out(bert):
    encoder = encoder_of(bert).train()
    assert not torch.equal(encoded(encoder, TOKENS), encoded(encoder, TOKENS))
    encoded(encoder, TOKENS).square().sum().backward()
    assert table_of(encoder).grad is not None


def test_a_rate_for_frozen_layers_is_refused():
    with pytest.raises(ValidationError, match="do not learn"):
        TextOptions(freeze=True, lr=1e-5)


def test_it_learns_a_few_random_targets_by_heart(bert):
    torch.manual_seed(0)
    encoder = encoder_of(bert).train()
    tokens = torch.randint(5, len(PIECES), (8, 7))
    target = torch.randn(8, 6)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=0.01)
    encoder.eval()  # by heart: without dropout
    for _ in range(200):
        loss = (encoded(encoder, tokens) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01


def test_a_missing_folder_names_the_command_that_fetches_one(bert):
    with pytest.raises(DataError) as caught:
        encoder_of(bert, weights="no/bert-base-uncased")
    assert caught.value.exit_code == 3
    assert "hf download bert-base-uncased --local-dir bert-base-uncased" in caught.value.do


@pytest.mark.parametrize("name", ["", "json/no", "json.decoder", "no_such_package/model", "no.such/model", "/"])
def test_a_name_that_is_no_folder_is_refused_whatever_it_looks_like(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read_config(model_folder(name, "data.tokenizer"), "data.tokenizer")
    assert "data.tokenizer" in caught.value.where
    assert ("pip install no-such-package" in caught.value.do) == name.startswith("no_such_package")


def not_text(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "resnet", "depths": [2, 2]}))


def no_config(folder):
    (folder / "config.json").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def damaged_config(folder):
    (folder / "config.json").write_text("{")


def damaged_weights(folder):
    (folder / "model.safetensors").write_bytes(b"weights")


def other_weights(folder):
    from safetensors.torch import save_file

    save_file({"layer.weight": torch.ones(2)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "spoil", [not_text, no_config, no_weights, damaged_config, damaged_weights, other_weights], ids=lambda f: f.__name__
)
def test_a_folder_that_is_no_text_encoder_is_said_to_be_none(bert, tmp_path, spoil, capfd):
    config = {"model": read_config(bert, "tokenizer")}
    spoil(bert)
    encoder = TextEncoder(TextOptions(weights=str(bert), width=6), (7,), config)
    with pytest.raises(DataError, match="not one of a text model") as caught:
        encoder.load_pretrained()
    assert str(bert) in caught.value.where
    assert caught.value.got


def test_weights_of_another_text_model_than_the_tokens_are_refused(bert, tmp_path):
    other = small_bert(tmp_path / "other", num_hidden_layers=1)
    with pytest.raises(DataError, match="another text model") as caught:
        encoder_of(bert, weights=str(other))
    assert caught.value.got == "num_hidden_layers 1"


@pytest.mark.parametrize("changes", [{"num_attention_heads": 4}, {"hidden_act": "relu"}, {"layer_norm_eps": 1e-5}])
def test_weights_of_the_same_shapes_and_another_network_are_refused(bert, tmp_path, changes):
    other = small_bert(tmp_path / "other", **changes)
    with pytest.raises(DataError, match="another text model") as caught:
        encoder_of(bert, weights=str(other))
    ((name, value),) = changes.items()
    assert caught.value.got == f"{name} {value}"
    encoder_of(bert, weights=str(small_bert(tmp_path / "same", hidden_dropout_prob=0.3, initializer_range=0.1)))


def test_weights_of_another_vocabulary_are_refused(bert, tmp_path, monkeypatch):
    config = {"model": read_config(bert, "tokenizer"), "vocabulary": vocabulary(read_tokenizer(bert))}
    same = small_bert(tmp_path / "same")
    monkeypatch.setattr("text_models.PIECES", [*PIECES[:5], *PIECES[:4:-1]])
    other = small_bert(tmp_path / "other")
    for folder, refused in ((same, None), (other, "a vocabulary in which"), (same, "weights without a tokenizer")):
        encoder = TextEncoder(TextOptions(weights=str(folder), width=6), (7,), config)
        if refused is None:
            encoder.load_pretrained()
            for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
                (folder / name).unlink()
        else:
            with pytest.raises(DataError, match="another text model") as caught:
                encoder.load_pretrained()
            assert refused in caught.value.got


def test_a_dataset_without_a_text_model_is_refused():
    with pytest.raises(DataError, match="does not say which text model"):
        TextEncoder(TextOptions(), (7,), None)


def test_a_type_of_model_that_nobody_knows_is_refused():
    with pytest.raises(DataError, match="knows no text model"):
        TextEncoder(TextOptions(), (7,), {"model": {"model_type": "telepathy", "vocab_size": 3}})


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_dropout_inside_the_pretrained_layers_is_the_wholes_in_every_part(bert, attention):
    encoder = encoder_of(bert, dropout=0.3).train()
    encoder.backbone.set_attn_implementation(attention)
    assert encoder.backbone.config.hidden_dropout_prob > 0.0
    assert encoder.backbone.config.attention_probs_dropout_prob > 0.0
    tokens = TOKENS[torch.tensor([2] * 5)]  # of one length, to which each part is cut
    everything, found = whole(tokens), []
    for batch in (everything, *parts_of(everything, 1, 2, 2)):
        torch.manual_seed(0)
        found.append(encoder(tokens[batch.start : batch.start + len(batch)], batch))
    torch.testing.assert_close(torch.cat(found[1:]), found[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[0][0], found[0][2], atol=1e-3)  # equal samples, different masks
