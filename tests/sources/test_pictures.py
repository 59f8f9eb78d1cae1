"""Pictures of every kind: their colours are right, or they are refused; never read as something that they are not."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from omib_cli.errors import DataError
from omib_cli.sources.pixels import over_white, rgb
from omib_cli.sources.spatial.images import look, open_image

PINK = (220, 60, 120)


def flat(colour: tuple[int, ...] | int, dtype: type = np.uint8) -> np.ndarray:
    """(30, 40, channels), or (30, 40) of one value."""
    shape = (30, 40) if isinstance(colour, int) else (30, 40, len(colour))
    return np.broadcast_to(np.array(colour, dtype=dtype), shape).copy()


def read(path) -> tuple[np.ndarray, list[str]]:
    """All pixels, and what is said of them."""
    width, height, notes = look(path, path.name)
    return np.asarray(open_image(path, path.name).region(0, 0, width, height)), notes


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.exit_code == 3
    return str(caught.value)


RAMP = np.linspace(0, 1, 30 * 40 * 3).reshape(30, 40, 3)
LEVELS = np.rint(RAMP * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        LEVELS,
        LEVELS.astype(np.int64),
        LEVELS.astype(np.uint16),
        LEVELS.astype(np.float32),
        RAMP * 255,
        RAMP,
        RAMP.astype(np.float32),
        np.where(RAMP == 1, 1.0000002, RAMP),
        np.where(RAMP == 0, -1e-7, RAMP),
    ],
)
def test_levels_and_fractions_of_any_type_are_the_same_picture(pixels):
    found = rgb(pixels, "a")
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - LEVELS).max() <= 1
    np.testing.assert_array_equal(found[[0, -1], [0, -1]], LEVELS[[0, -1], [0, -1]])


@pytest.mark.parametrize(
    "pixels",
    [
        (RAMP * 4095).astype(np.uint16),
        (RAMP * 65535).astype(np.uint16),
        (RAMP * 65535).astype(np.float32),
        (RAMP * 1023).astype(np.int32),
        RAMP * 1.2,
        RAMP * 2 - 1,
        (RAMP * 255 - 128).astype(np.int8),
        np.where(RAMP == 1, np.nan, RAMP),
        np.where(RAMP == 1, np.inf, RAMP),
        RAMP > 0.5,
        LEVELS.transpose(2, 0, 1),
        LEVELS[..., :2],
        LEVELS[np.newaxis],
    ],
)
def test_values_that_do_not_say_what_is_white_are_refused(pixels):
    with pytest.raises(DataError, match="no RGB image") as caught:
        rgb(pixels, "a.h5ad")
    assert "8-bit RGB" in str(caught.value)


def test_grey_becomes_three_equal_colours_and_opacity_is_laid_over_white():
    for pixels in (LEVELS[..., 0], LEVELS[..., :1], RAMP[..., 0]):
        np.testing.assert_array_equal(rgb(pixels, "a"), np.repeat(LEVELS[..., :1], 3, axis=2))
    half = np.dstack([flat((200, 0, 100)), np.full((30, 40), 51, np.uint8)])
    np.testing.assert_array_equal(rgb(half, "a")[0, 0], [244, 204, 224])
    np.testing.assert_array_equal(rgb(half / 255, "a")[0, 0], [244, 204, 224])
    np.testing.assert_array_equal(over_white(half)[0, 0], [244, 204, 224])
    np.testing.assert_array_equal(over_white(flat((40, 0, 20, 51)), premultiplied=True)[0, 0], [244, 204, 224])
    np.testing.assert_array_equal(rgb(np.dstack([LEVELS, np.full((30, 40), 255, np.uint8)]), "a"), LEVELS)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.png.gz"])
def test_rgb_files_of_every_format_are_read_alike(tmp_path, name):
    plain = tmp_path / name.removesuffix(".gz")
    if plain.suffix == ".tif":
        tifffile.imwrite(plain, flat(PINK), photometric="rgb")
    else:
        Image.fromarray(flat(PINK)).save(plain, **({"quality": 100} if plain.suffix == ".jpg" else {}))
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    pixels, notes = read(tmp_path / name)
    np.testing.assert_allclose(pixels[15, 20].astype(int), PINK, atol=2)
    assert pixels.shape == (30, 40, 3)
    assert notes == []


def test_a_tiff_under_another_name_is_read_as_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", flat(PINK), photometric="rgb")
    for name in ("a.svs", "a.jpg"):
        shutil.copy(tmp_path / "a.tif", tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name)[0][0, 0], PINK)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_png_of_grey_palette_or_opacity_is_what_it_shows_and_that_is_said(tmp_path, mode):
    if mode in ("RGBA", "LA"):
        colours = PINK if mode == "RGBA" else (90,)
        image = Image.fromarray(
            np.dstack([flat(colours), np.repeat([0, 255], 20)[None].repeat(30, 0).astype(np.uint8)])
        )
    else:
        image = Image.fromarray(flat(PINK)).quantize(4) if mode == "P" else Image.fromarray(flat(90)).convert(mode)
    image.save(tmp_path / "a.png")
    pixels, notes = read(tmp_path / "a.png")
    if mode in ("RGBA", "LA"):
        assert pixels[:, :20].min() == 255
        np.testing.assert_array_equal(pixels[0, 30], PINK if mode == "RGBA" else (90,) * 3)
        assert any("opacity" in note for note in notes)
    elif mode == "P":
        np.testing.assert_array_equal(pixels[0, 0], PINK)
        assert notes == []
    else:
        assert (pixels == pixels[..., :1]).all()
        assert ["grey" in note for note in notes] == [True]


def test_a_palette_with_a_transparent_colour_shows_white_there(tmp_path):
    image = Image.fromarray(np.repeat(np.array([[0, 1]], np.uint8), 20, axis=1).repeat(30, axis=0), mode="P")
    image.putpalette([*PINK, 0, 0, 0])
    image.save(tmp_path / "a.png", transparency=1)
    pixels, notes = read(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[0, [0, -1]], [PINK, (255, 255, 255)])
    assert any("opacity" in note for note in notes)


def deep_png(path, colour_type: int, top: int) -> None:
    """A PNG of 16 bits, which Pillow does not write in colours."""
    import struct
    import zlib

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    rows = np.full((30, 40 * channels), top, dtype=">u2")
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 16, colour_type, 0, 0, 0)), (b"IDAT", zlib.compress(content))]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
@pytest.mark.parametrize("top", [4095, 65535])
def test_png_of_16_bits_is_refused_in_grey_and_in_colours(tmp_path, colour_type, top):
    deep_png(tmp_path / "a.png", colour_type, top)
    assert "16 bits" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "planar.tif"])
def test_inks_are_refused(tmp_path, name):
    image = flat((10, 200, 130, 30))
    if name == "a.jpg":
        Image.fromarray(image, mode="CMYK").save(tmp_path / name)
    elif name == "a.tif":
        tifffile.imwrite(tmp_path / name, image, photometric="separated")
    else:
        image = np.ascontiguousarray(image.transpose(2, 0, 1))
        tifffile.imwrite(tmp_path / name, image, photometric="separated", planarconfig="separate")
    assert "no RGB image" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (flat(PINK), {"photometric": "ycbcr"}),
        (flat(PINK), {"photometric": "cielab"}),
        (flat(PINK), {"photometric": "minisblack", "planarconfig": "contig"}),
        (flat(90), {"photometric": "miniswhite"}),
        (flat(3), {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}),
        (flat((900, 90, 9), np.uint16), {"photometric": "rgb"}),
        (flat(900, np.uint16), {"photometric": "minisblack"}),
        (flat(1, np.float32), {"photometric": "minisblack"}),
        (flat((*PINK, 7)), {"photometric": "rgb", "extrasamples": ["unspecified"]}),
        (flat((*PINK, 7, 8)), {"photometric": "rgb", "extrasamples": ["unspecified"] * 2}),
        (np.stack([flat(PINK)] * 3), {"photometric": "rgb"}),
        (flat(PINK), {"photometric": "rgb", "extratags": [(274, 3, 1, 6, True)]}),
    ],
)
def test_tiff_of_other_samples_than_8_bit_rgb_or_grey_is_refused(tmp_path, image, options):
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(("kind", "colour"), [("unassalpha", (200, 0, 100, 51)), ("assocalpha", (40, 0, 20, 51))])
def test_tiff_with_opacity_is_laid_over_white_and_that_is_said(tmp_path, kind, colour):
    for layout in ({"tile": (16, 16)}, {"planarconfig": "separate"}):
        image = flat(colour)
        image = np.ascontiguousarray(image.transpose(2, 0, 1)) if "planarconfig" in layout else image
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=[kind], **layout)
        pixels, notes = read(tmp_path / "a.tif")
        np.testing.assert_array_equal(pixels[29, 39], [244, 204, 224])
        assert any("opacity" in note for note in notes)


def test_grey_tiff_is_grey_and_that_is_said(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LEVELS[..., 0], photometric="minisblack", tile=(16, 16))
    pixels, notes = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, np.repeat(LEVELS[..., :1], 3, axis=2))
    assert any("grey" in note for note in notes)


def test_of_several_images_in_a_tiff_the_first_is_taken_only_if_it_is_the_largest(tmp_path):
    small, large = flat(PINK)[:10, :10], flat(PINK)
    for name, images in (("a.tif", (large, small)), ("b.tif", (small, large))):
        with tifffile.TiffWriter(tmp_path / name) as file:
            for image in images:
                file.write(image, photometric="rgb")
    assert any("further images" in note for note in read(tmp_path / "a.tif")[1])
    assert "further image" in refusal(tmp_path / "b.tif")


def test_several_pictures_in_a_png_or_jpeg_are_refused(tmp_path):
    frames = [Image.fromarray(flat(colour)) for colour in (PINK, (0, 0, 0))]
    for name, options in (("a.png", {}), ("a.jpg", {"format": "MPO"})):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_picture_that_is_to_be_turned_is_refused(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(flat(PINK)).save(tmp_path / name, exif=exif)
    assert "turned or mirrored" in refusal(tmp_path / name)
    exif[274] = 1
    Image.fromarray(flat(PINK)).save(tmp_path / name, exif=exif)
    read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a.webp"])
def test_formats_that_are_not_named_are_refused(tmp_path, name):
    Image.fromarray(flat(PINK)).save(tmp_path / name)
    assert "TIFF, JPEG or PNG" in refusal(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_tiff_that_is_cut_off_is_refused(tmp_path, compression, tile):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression=compression, tile=tile)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be read" in refusal(path)
