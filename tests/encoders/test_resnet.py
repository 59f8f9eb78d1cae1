"""ResNet-18: sizes, stems, frames, views, pretrained weights, and that it can learn by heart."""

from __future__ import annotations

import json

import pytest
import torch
from batches import encoded, parts_of, whole
from safetensors.torch import load_file, save_file

from omib_cli.encoders.augmentation import random_view, random_warp
from omib_cli.encoders.resnet import RGB_MEAN, RGB_SD, ResNetEncoder
from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.encoders import ResNetOptions


def viewed(images, *arguments, **options):
    return random_view(images, *arguments, **options, batch=whole(images))


def warped(spectrograms, most):
    return random_warp(spectrograms, most, whole(spectrograms))


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def slim(shape: tuple[int, ...], **options) -> ResNetEncoder:
    """An encoder of the same form with an eighth of the channels."""
    torch.manual_seed(0)
    return ResNetEncoder(ResNetOptions(channels=8, **{"width": 64, **options}), shape)


@pytest.mark.parametrize(
    ("shape", "stem", "count"),
    [
        ((3, 64, 64), "standard", 11_176_512),
        ((65, 40), "standard", 11_170_240),
        ((3, 32, 32), "small", 11_168_832),
        ((1, 28, 28), "small", 11_167_680),
    ],
)
def test_it_is_as_large_as_it_says_and_maps_to_the_width(shape, stem, count):
    encoder = ResNetEncoder(ResNetOptions(stem=stem), shape)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == count
    x = torch.randn(2, *shape) if len(shape) == 2 else images(2, *shape)
    assert encoded(encoder, x).shape == (2, 512)


@pytest.mark.parametrize("width", [64, 10])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 3, 48, 64), (3, 3, 32, 32), (257, 188), (129, 33)])
def test_every_kind_and_size_comes_out_as_wide_as_asked_for(shape, width):
    encoder = slim(shape, width=width)
    x = torch.randn(2, *shape) if len(shape) == 2 else images(2, *shape)
    assert encoded(encoder, x).shape == (2, width)
    assert encoded(encoder.eval(), x[:1]).shape == (1, width)


def test_the_last_layer_has_a_bias_only_where_one_is_wanted():
    options = ResNetOptions(channels=8, width=10)
    assert ResNetEncoder(options, (3, 32, 32)).project.bias is not None
    assert ResNetEncoder(options, (3, 32, 32), None, bias=False).project.bias is None


def test_convolutions_start_kaiming_normal_by_fan_out():
    encoder = ResNetEncoder(ResNetOptions(stem="small"), (3, 32, 32))
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 10_000:
            expected = (2 / (module.out_channels * module.kernel_size[0] ** 2)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05)


def test_the_small_stem_keeps_the_resolution_and_the_standard_one_quarters_it():
    seen = {}
    for stem in ("small", "standard"):
        encoder = slim((3, 32, 32), stem=stem)
        encoder.network.embedder.register_forward_hook(
            lambda module, given, found, stem=stem: seen.update({stem: found.shape[-1]})
        )
        encoded(encoder, images(2, 3, 32, 32))
    assert seen == {"small": 32, "standard": 8}


def test_bytes_of_three_channels_are_standardised_as_imagenet_is():
    encoder = slim((3, 32, 32)).eval()
    x = images(2, 3, 32, 32)
    seen = []
    encoder.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    encoded(encoder, x)
    by_hand = (x / 255 - torch.tensor(RGB_MEAN).view(3, 1, 1)) / torch.tensor(RGB_SD).view(3, 1, 1)
    torch.testing.assert_close(seen[0], by_hand)


def test_the_encoding_of_a_video_is_the_mean_over_its_frames():
    encoder = slim((3, 3, 32, 32), width=10).eval()
    video = images(2, 3, 3, 32, 32)
    still = slim((3, 32, 32), width=10).eval()
    apart = torch.stack([encoded(still, video[:, frame]) for frame in range(3)])
    torch.testing.assert_close(encoded(encoder, video), apart.mean(dim=0), rtol=1e-4, atol=1e-5)


def picked(encoder: ResNetEncoder, stored: int) -> list[list[int]]:
    """Which frames are picked of 50 clips whose frame t has the value t throughout."""
    video = torch.arange(stored, dtype=torch.uint8).view(1, -1, 1, 1, 1).expand(50, -1, 3, 8, 8)
    return encoder._picked(video, whole(video))[:, :, 0, 0, 0].tolist()


def test_evaluation_takes_the_middle_frame_and_training_any():
    encoder = slim((5, 3, 8, 8), frames=1)
    assert {frames[0] for frames in picked(encoder, 5)} == {0, 1, 2, 3, 4}
    assert picked(encoder.eval(), 5) == [[2]] * 50
    first = slim((5, 3, 8, 8), frames=2, frame_pick="first")
    assert picked(first, 5) == picked(first.eval(), 5) == [[0, 1]] * 50


def test_several_frames_are_distinct_and_in_order():
    encoder = slim((7, 3, 8, 8), frames=3)
    assert all(frames == sorted(set(frames)) and len(frames) == 3 for frames in picked(encoder, 7))
    assert picked(encoder.eval(), 7)[0] == [1, 3, 5]


def test_views_are_random_in_training_only_and_follow_the_seed():
    encoder = slim((3, 32, 32), crop=0.3, flip=True)
    x = images(4, 3, 32, 32)
    torch.manual_seed(1)
    one = encoded(encoder, x)
    torch.manual_seed(1)
    assert torch.equal(encoded(encoder, x), one)
    assert not torch.equal(encoded(encoder, x), one)
    encoder.eval()
    assert torch.equal(encoded(encoder, x), encoded(encoder, x))


def test_a_flip_mirrors_about_half_of_the_images_and_nothing_else():
    torch.manual_seed(0)
    x = torch.rand(200, 1, 6, 9)
    view = viewed(x, 1.0, flip=True)
    same = (view - x).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (view - x.flip(-1)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert bool((same ^ mirrored).all())
    assert 70 < int(same.sum()) < 130


@pytest.mark.parametrize("size", [(64, 64), (60, 80)])
def test_crops_have_the_area_ratio_and_place_they_should(size):
    """An image of its own coordinates: a crop's extent can be read from its corners."""
    torch.manual_seed(0)
    rows, columns = size
    y, x = torch.meshgrid(torch.arange(rows).float(), torch.arange(columns).float(), indexing="ij")
    view = viewed(torch.stack([x, y]).expand(500, -1, -1, -1), 0.08, flip=False)
    width = (view[:, 0, 0, -1] - view[:, 0, 0, 0]) * columns / (columns - 1) / columns
    height = (view[:, 1, -1, 0] - view[:, 1, 0, 0]) * rows / (rows - 1) / rows
    area = width * height
    assert 0.06 < area.min() < 0.15
    assert area.max() < 1.01
    assert 0.4 < area.mean() < 0.6
    ratio = (width * columns) / (height * rows)
    assert 0.7 < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 1.4
    assert view[:, 0].min() < 3
    assert view[:, 0].max() > columns - 4


def test_it_learns_a_few_images_by_heart():
    encoder = slim((1, 28, 28), stem="small", width=2)
    x, target = images(12, 1, 28, 28), torch.randn(12, 2)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    for _ in range(80):
        loss = (encoded(encoder, x) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02


def saved(folder, prefix: str = "", **options):
    """A folder with the weights of a slim network of another seed."""
    folder.mkdir()
    torch.manual_seed(5)
    network = ResNetEncoder(ResNetOptions(channels=8, width=64, **options), (3, 32, 32)).network
    network.save_pretrained(folder)
    weights = {f"{prefix}{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    return network.state_dict()


@pytest.mark.parametrize("prefix", ["", "resnet."])
def test_pretrained_weights_are_loaded_whoever_saved_them(tmp_path, prefix):
    expected = saved(tmp_path / "weights", prefix)
    encoder = slim((3, 32, 32), weights=str(tmp_path / "weights"))
    assert encoder.load_pretrained() is None
    for name, value in encoder.network.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_a_stem_of_another_shape_keeps_its_own_weights_and_says_so(tmp_path):
    expected = saved(tmp_path / "weights")
    encoder = slim((65, 40), weights=str(tmp_path / "weights"))
    stem = encoder.network.embedder.embedder.convolution.weight.clone()
    assert "start from scratch" in encoder.load_pretrained()
    assert torch.equal(encoder.network.embedder.embedder.convolution.weight, stem)
    last = "encoder.stages.3.layers.1.layer.1.convolution.weight"
    assert torch.equal(encoder.network.state_dict()[last], expected[last])


def refusal(encoder: ResNetEncoder) -> str:
    with pytest.raises(DataError) as caught:
        encoder.load_pretrained()
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_file_without_a_stem_is_refused_in_place_of_leaving_it_random(tmp_path):
    saved(tmp_path / "weights")
    file = tmp_path / "weights" / "model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if not name.startswith("embedder.")}, file)
    assert "embedder.embedder.convolution.weight: missing" in refusal(slim((3, 32, 32), weights=str(file.parent)))


def test_missing_damaged_and_foreign_weights_are_refused_with_a_way_out(tmp_path):
    assert "hf download microsoft/resnet-18" in refusal(slim((3, 32, 32), weights=str(tmp_path / "nowhere")))
    saved(tmp_path / "weights")
    wide = ResNetEncoder(ResNetOptions(channels=16, weights=str(tmp_path / "weights")), (3, 32, 32))
    assert "another network" in refusal(wide)
    (tmp_path / "weights" / "model.safetensors").write_bytes(json.dumps({"no": "weights"}).encode())
    assert "cannot be read" in refusal(slim((3, 32, 32), weights=str(tmp_path / "weights")))


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((65, 40), {"flip": True}, "spectrogram"),
        ((65, 40), {"crop": 0.5}, "spectrogram"),
        ((3, 32, 32), {"frames": 1}, "for video"),
        ((3, 3, 32, 32), {"frames": 4}, "has 3"),
    ],
)
def test_options_that_do_not_suit_the_modality_are_refused(shape, options, said):
    with pytest.raises(RecipeError) as caught:
        slim(shape, **options)
    assert said in str(caught.value)


def test_a_batch_of_one_in_training_is_refused_in_words():
    with pytest.raises(RecipeError) as caught:
        encoded(slim((3, 32, 32)), images(1, 3, 32, 32))
    assert "raise `batch`" in str(caught.value)


def test_a_warp_multiplies_frequencies_and_moves_times_by_no_more_than_it_may():
    """A spectrogram of its own coordinates: where each value comes from can be read from it."""
    rows, columns, most = 80, 60, 0.25
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    torch.manual_seed(1)
    frequency, time = (warped(each.expand(400, 1, -1, -1), most)[:, 0] for each in (y, x))
    factor = frequency[:, 30, 30] / 30.5
    assert (factor.min() >= 1 - most - 1e-4, factor.max() <= 1 + most + 1e-4) == (True, True)
    assert factor.std() == pytest.approx(2 * most / 12**0.5, rel=0.1)  # uniform
    torch.testing.assert_close(frequency[:, 10, 0] / 10.5, factor, atol=1e-4, rtol=1e-4)  # one factor, from 0 Hz on
    stretch = (time[:, 0, 40] - time[:, 0, 20]) / 20
    assert (stretch.min() >= 1 - most - 1e-4, stretch.max() <= 1 + most + 1e-4) == (True, True)
    shift = (time[:, 0, 29] + time[:, 0, 30]) / 2 - columns / 2
    assert 0.8 * most * columns / 2 < shift.abs().max() <= most * columns / 2 + 1e-3
    torch.testing.assert_close(warped(y.expand(3, 1, -1, -1), 0.0), y.expand(3, 1, -1, -1))


def test_spectrograms_are_warped_in_training_alone():
    x = torch.randn(4, 33, 24)
    plain, warped = slim((33, 24)), slim((33, 24), warp=0.3)
    torch.testing.assert_close(encoded(warped.eval(), x), encoded(plain.eval(), x))
    assert not torch.allclose(encoded(warped.train(), x), encoded(plain.train(), x), atol=1e-3)
    with pytest.raises(RecipeError, match="`warp` is for spectrograms"):
        slim((3, 32, 32), warp=0.1)


def test_a_part_of_a_single_row_is_normalised_as_in_inference_and_learns_no_statistics():
    encoder, x = slim((3, 32, 32)).train(), images(3, 3, 32, 32)
    everything = whole(x)
    encoded(encoder, x)
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    two, one = parts_of(everything, 2, 1)
    single = encoder(x[2:], one)
    single.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())
    torch.testing.assert_close(single, encoded(encoder.eval(), x[2:]))
    encoder.train()(x[:2], two)
    assert any(not torch.equal(value, before[name]) for name, value in encoder.named_buffers())


def test_views_of_parts_are_those_of_the_whole():
    encoder, x = slim((4, 3, 16, 16), crop=0.5, flip=True, frames=2).train(), images(5, 4, 3, 16, 16)
    seen = []
    encoder.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    everything = whole(x)
    for batch in (everything, *parts_of(everything, 2, 3)):
        torch.manual_seed(0)
        encoder(x[batch.start : batch.start + len(batch)], batch)
    torch.testing.assert_close(torch.cat(seen[1:]), seen[0])
