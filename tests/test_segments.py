"""Positions of pictures, sounds and chains: what they are called, where they stand, and what is refused."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import regard
from regard.errors import RecordError
from regard.watch.segments import ImageSegment, ResidueSegment, SoundSegment

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

AXES = st.one_of(
    st.lists(st.sampled_from(["[CLS]", "a", "##b", "[SEP]"]), max_size=5).map(regard.words),
    st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda grid: regard.patches(grid=grid)),
    st.integers(1, 4).map(lambda count: regard.frames(count, seconds=1)),
    st.text("MKV", min_size=1, max_size=4).map(regard.residues),
)


@given(st.lists(AXES, min_size=1, max_size=4))
def test_axes_stand_one_behind_the_other(axes):
    whole = axes[0]
    for axis in axes[1:]:
        whole = whole + axis
    labels = [label for axis in axes for label in axis.labels]
    assert list(whole.labels) == labels
    assert len(whole.groups) == len(labels)
    assert list(whole.words) == [word for axis in axes for word in axis.words]
    place, segments = 0, iter(whole.segments)
    for axis in axes:
        count = len(axis.groups)
        stretch = range(place, place + count)
        words = [whole.words[group] for group in whole.groups[place : place + count]]
        assert words == [axis.words[group] for group in axis.groups]
        special = [whole.special[group] for group in whole.groups[place : place + count]]
        assert special == [axis.special[group] for group in axis.groups]
        assert [p for p in whole.separators if p in stretch] == [place + p for p in axis.separators]
        for segment in axis.segments:
            moved = next(segments)
            assert type(moved) is type(segment)
            assert (moved.start, moved.stop) == (stretch.start, stretch.stop)
        place += count
    assert next(segments, None) is None


def test_what_is_no_axis_is_not_added():
    with pytest.raises(TypeError, match="unsupported operand"):
        regard.patches(grid=(1, 1)) + "a"


def test_patches_are_called_by_row_and_column():
    axis = regard.patches(grid=(2, 3))
    assert axis.words[:4] == ("row 1, column 1", "row 1, column 2", "row 1, column 3", "row 2, column 1")
    (segment,) = axis.segments
    assert isinstance(segment, ImageSegment)
    assert (segment.stop, segment.rows, segment.columns, segment.picture) == (6, 2, 3, None)


def test_frames_are_called_by_their_time():
    axis = regard.frames(4, seconds=1.68)
    assert axis.words == ("0.00 s", "0.42 s", "0.84 s", "1.26 s")
    (segment,) = axis.segments
    assert isinstance(segment, SoundSegment)
    assert (segment.seconds, segment.spectrogram, segment.hertz) == (1.68, None, None)


def test_residues_are_called_by_their_number():
    axis = regard.residues(["M", "Sec"], first=-1, chain="B")
    assert axis.words == ("M-1", "Sec0")
    (segment,) = axis.segments
    assert isinstance(segment, ResidueSegment)
    assert (segment.first, segment.chain, segment.contacts) == (-1, "B", None)


# Pictures.


def picture_of(given):
    (segment,) = regard.patches(given, grid=(1, 1)).segments
    return Image.open(io.BytesIO(segment.picture)), segment.type


def file_of(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS / 255),
        torch.from_numpy(PIXELS / 255).permute(2, 0, 1).float(),
        Image.fromarray(PIXELS),
        file_of(Image.fromarray(PIXELS), "PNG"),
    ],
    ids=["array", "channels first", "tensor", "0 to 1", "float32", "image", "file"],
)
def test_a_picture_keeps_its_pixels_however_it_comes(picture):
    image, kind = picture_of(picture)
    assert kind == "image/png"
    np.testing.assert_array_equal(np.asarray(image), PIXELS)


def test_a_picture_comes_from_a_path(tmp_path):
    path = tmp_path / "a.webp"
    Image.fromarray(PIXELS).save(path, lossless=True)
    for given_path in (path, str(path)):
        np.testing.assert_array_equal(np.asarray(picture_of(given_path)[0]), PIXELS)


def test_a_large_picture_is_made_smaller_with_its_sides_in_proportion():
    image, _ = picture_of(torch.rand(3, 400, 1600))
    assert image.size == (768, 192)


def test_a_photograph_stays_one_upright_and_without_what_else_its_file_held():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where it was taken"
    file = file_of(Image.new("RGB", (20, 10), "red"), "JPEG", exif=exif)
    assert b"where it was taken" in file
    (segment,) = regard.patches(file, grid=(1, 1)).segments
    assert segment.type == "image/jpeg"
    assert b"where it was taken" not in segment.picture
    assert Image.open(io.BytesIO(segment.picture)).size == (10, 20)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "RGBA"])
def test_every_kind_of_picture_can_be_shown(mode):
    image, kind = picture_of(Image.new(mode, (3, 2)))
    assert image.size == (3, 2)
    assert kind == "image/png"


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (b"no picture", "format that Pillow knows"),
        (file_of(Image.fromarray(PIXELS), "PNG")[:-30], "cannot read"),
        ("no/such.png", "No such file"),
        ("a\0b", "cannot read"),
        (torch.rand(4, 4), "got shape (4, 4)"),
        (torch.rand(3, 0, 4), "got shape (3, 0, 4)"),
        (torch.rand(4, 3, 3, 3), "got shape (4, 3, 3, 3)"),
        (torch.full((3, 2, 2), 1.5), "normalised"),
        (torch.full((3, 2, 2), math.nan), "got numbers from nan"),
        (torch.ones(3, 2, 2, dtype=torch.int64), "got torch.int64"),
        ([["a"]], "got list"),
        (3, "got shape ()"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(picture, said):
    with pytest.raises(RecordError, match="patches: ") as refusal:
        regard.patches(picture, grid=(1, 1))
    assert said in str(refusal.value)


@pytest.mark.parametrize("grid", [3, (3,), (0, 3), (1, 2.5), (1, 2, 3), "ab"])
def test_a_grid_has_rows_and_columns(grid):
    with pytest.raises(RecordError, match="patches: expected"):
        regard.patches(grid=grid)


# Sounds and chains.


def test_a_spectrogram_goes_from_its_least_to_its_greatest():
    (segment,) = regard.frames(
        2, seconds=1, spectrogram=np.array([[-2.0, -np.inf, 0.0], [8.0, 3.0, -2.0]])
    ).segments
    assert segment.spectrogram.tolist() == [[0, 0, 51], [255, 128, 0]]
    (flat,) = regard.frames(2, seconds=1, spectrogram=torch.full((2, 2), -math.inf)).segments
    assert flat.spectrogram.tolist() == [[0, 0], [0, 0]]


def test_the_loudest_stands_for_its_neighbours_in_a_long_spectrogram():
    spectrogram = torch.zeros(3, 10_000)
    spectrogram[1, 7777] = 1
    (segment,) = regard.frames(2, seconds=1, spectrogram=spectrogram).segments
    assert segment.spectrogram.shape == (3, 4096)
    assert segment.spectrogram.max() == 255
    assert segment.spectrogram[1].argmax() == 7777 * 4096 // 10_000


@pytest.mark.parametrize(
    "given",
    [
        {"count": 0, "seconds": 1},
        {"count": 2.5, "seconds": 1},
        {"count": 2, "seconds": 0},
        {"count": 2, "seconds": math.inf},
        {"count": 2, "seconds": math.nan},
        {"count": 2, "seconds": 1, "hertz": -1},
        {"count": 2, "seconds": 1, "spectrogram": [1.0, 2.0]},
        {"count": 2, "seconds": 1, "spectrogram": torch.ones(2, 2, dtype=torch.complex64)},
        {"count": 2, "seconds": 1, "spectrogram": "loud"},
    ],
    ids=str,
)
def test_what_is_no_sound_is_refused_in_words(given):
    with pytest.raises(RecordError, match=r"frames.*: expected"):
        regard.frames(**given)


@pytest.mark.parametrize("contacts", [np.eye(2), torch.eye(2, dtype=torch.bool), [[1, 0], [0, 1]]])
def test_contacts_are_a_yes_or_no_for_each_pair(contacts):
    (segment,) = regard.residues("MK", contacts=contacts).segments
    assert segment.contacts.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("contacts", [np.eye(3), [[0, 2], [1, 0]], torch.full((2, 2), 0.5), "touch", [1, 0]])
def test_what_are_no_contacts_is_refused_in_words(contacts):
    with pytest.raises(RecordError, match="residues, contacts: expected"):
        regard.residues("MK", contacts=contacts)


@pytest.mark.parametrize("given", [{"sequence": ""}, {"sequence": "MK", "first": 1.5}], ids=str)
def test_what_is_no_chain_is_refused_in_words(given):
    with pytest.raises(RecordError, match="residues: expected"):
        regard.residues(**given)
