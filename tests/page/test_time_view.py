"""The time view: weights over a sound's time, the path of attention through it, and words to point at."""

import numpy as np
import pytest

import regard
from tests.page.modalities import HOSTILE, ordered_alike, percents, pixels, seen_among, seen_between, weights_of

FRAMES, SECONDS = 40, 8.0
WORDS = ["<|en|>", "so", "we", HOSTILE, "שלום"]
PLAIN = "#view=time&palette=greys&scale=linear&theme=light&head=0.0.0.0"
# Where web/src/views/time/layout.ts lays out the figure.
LEFT, RIGHT, ROW = 46, 14, 19


@pytest.fixture(scope="module")
def transcript():
    return seen_between(len(WORDS), FRAMES)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory, transcript):
    # Loud in the low half of the first half, and in the high half of the second.
    spectrogram = np.kron([[1.0, 0.0], [0.0, 1.0]], np.ones((8, 30)))
    keys = regard.frames(FRAMES, seconds=SECONDS, spectrogram=spectrogram, hertz=8000)
    report = regard.report(transcript, keys, target=WORDS)
    return report.save(tmp_path_factory.mktemp("page") / "time.html")


@pytest.fixture(scope="module")
def sound():
    return seen_among(FRAMES)


@pytest.fixture(scope="module")
def page_of_sound(tmp_path_factory, sound):
    axis = regard.frames(FRAMES, seconds=SECONDS)
    return regard.report(sound, axis).save(tmp_path_factory.mktemp("page") / "sound.html")


def canvas_of(page):
    return page.locator("[data-sound='0']")


def x_of(page, frame):
    wide = canvas_of(page).bounding_box()["width"] - LEFT - RIGHT
    return LEFT + (frame + 0.5) / FRAMES * wide


def point(page, frame, y=20):
    canvas_of(page).hover(position={"x": x_of(page, frame), "y": y})
    page.wait_for_selector(f"#says:has-text('{frame * SECONDS / FRAMES:.2f} s')")


def strip(page, rows):
    """Return the colours of the strip, which lies above the ticks and a path of so many rows."""
    box = canvas_of(page).bounding_box()
    y, wide = box["height"] - 4 - rows * ROW - 44, box["width"] - LEFT - RIGHT
    return pixels(canvas_of(page), [(LEFT + (frame + 0.5) / FRAMES * wide, y) for frame in range(FRAMES)])


def test_the_spectrogram_has_low_frequencies_below(opened, page_of):
    page = opened(page_of, PLAIN)
    box = canvas_of(page).bounding_box()
    left, right = LEFT + 0.25 * (box["width"] - 60), LEFT + 0.75 * (box["width"] - 60)
    (up_left, *_), (up_right, *_), (down_left, *_), (down_right, *_) = pixels(
        canvas_of(page), [(left, 30), (right, 30), (left, 130), (right, 130)]
    )
    assert (up_left, up_right, down_left, down_right) == (255, 0, 0, 255)


def test_a_pointed_word_shows_when_it_looks(opened, page_of, transcript):
    page = opened(page_of, PLAIN)
    page.hover(".chip >> nth=2")
    row = weights_of(transcript)[2]
    assert ordered_alike(strip(page, len(WORDS)), row.tolist())
    assert percents(page.text_content("#says"))[0] == pytest.approx(100 * row.max().item(), abs=0.06)


def test_pointing_at_a_time_says_which_words_look_there(opened, page_of, transcript):
    page = opened(page_of, PLAIN)
    point(page, 31)
    column = weights_of(transcript)[:, 31]
    says = page.text_content("#says")
    assert says.startswith("Who attends to 6.20 s:")
    assert percents(says)[0] == pytest.approx(100 * column.max().item(), abs=0.06)
    colors = page.locator(".chip").evaluate_all("chips => chips.map((chip) => chip.style.background)")
    darks = [int(color[4:].split(",")[0].split()[0]) for color in colors]
    assert int(np.argmin(darks)) == column.argmax().item()


def test_words_are_text_whatever_they_say(opened, page_of):
    page = opened(page_of, PLAIN)
    assert page.locator(".chip").all_text_contents() == WORDS
    assert page.locator("img").count() == 0


def test_the_path_passes_through_the_mean_times(opened, page_of, transcript):
    page = opened(page_of, PLAIN)
    weights = weights_of(transcript)
    times = (np.arange(FRAMES) + 0.5) * SECONDS / FRAMES
    tall = canvas_of(page).bounding_box()["height"]
    wide = canvas_of(page).bounding_box()["width"] - LEFT - RIGHT
    for word, row in enumerate(weights.numpy()):
        mean = (row * times).sum() / row.sum()
        y = tall - 4 - (len(WORDS) - word - 0.5) * ROW
        (dot,) = pixels(canvas_of(page), [(LEFT + mean / SECONDS * wide, y)])
        assert max(dot) < 60  # the ink of the text, on a light page


def test_rows_of_the_path_select_their_words(opened, page_of):
    page = opened(page_of, PLAIN)
    box = canvas_of(page).bounding_box()
    canvas_of(page).click(position={"x": 300, "y": box["height"] - 4 - 2.5 * ROW})
    page.wait_for_url(lambda url: "queries=2-3" in url)


def test_frames_attend_to_frames_in_both_directions(opened, page_of_sound, sound):
    page = opened(page_of_sound, PLAIN)
    point(page, 7)
    # The frame that is pointed at is covered by its mark.
    others = [frame for frame in range(FRAMES) if frame != 7]
    row = weights_of(sound)[7]
    colors = strip(page, FRAMES)
    assert ordered_alike([colors[frame] for frame in others], row[others].tolist())
    page.mouse.move(0, 0)
    page.select_option("[data-control=direction]", "attended by")
    point(page, 7)
    column = weights_of(sound)[:, 7]
    colors = strip(page, FRAMES)
    assert ordered_alike([colors[frame] for frame in others], column[others].tolist())


def test_arrows_move_in_time_and_along_the_path(opened, page_of):
    page = opened(page_of, PLAIN)
    canvas_of(page).focus()
    for key in ("ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.text_content("#says").startswith("Who attends to 0.20 s:")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(lambda url: "queries=1-2" in url)


def test_a_click_with_shift_spans_a_stretch_of_time(opened, page_of):
    page = opened(page_of, PLAIN)
    canvas_of(page).click(position={"x": x_of(page, 3), "y": 20})
    canvas_of(page).click(position={"x": x_of(page, 9), "y": 20}, modifiers=["Shift"])
    page.wait_for_url(lambda url: "keys=3-10" in url)


def test_differences_have_no_path(opened, page_of, transcript):
    page = opened(page_of, PLAIN + "&compare=difference&with=0.0.0.1")
    page.hover(".chip >> nth=2")
    change = (weights_of(transcript) - weights_of(transcript, 1))[2]
    assert percents(page.text_content("#says"))[0] == pytest.approx(
        100 * change[change.abs().argmax()].item(), abs=0.06
    )


def test_a_long_sound_in_cells_opens_on_a_phone(opened, tmp_path):
    seen = seen_among(6000, heads=1)
    report = regard.report(seen, regard.frames(6000, seconds=600))
    page = opened(report.save(tmp_path / "long.html"), "#view=time", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    canvas_of(page).hover(position={"x": 200, "y": 20})
    page.wait_for_selector("#says:has-text('attends to: about')")


def test_the_saved_picture_holds_spectrogram_and_path(opened, page_of):
    page = opened(page_of, PLAIN)
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert "8 kHz" in drawn
    assert drawn.count("<image") == 3  # the spectrogram, the strip and the colours' bar
    assert drawn.count("שלום") == 2  # on the path and as a chip
