"""Two texts: which words belong together, as the record has it, from five words to five hundred."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import regard
from tests.models import FAMILIES

SOURCE = ["der", "kleine", "Hund", "läuft", "schnell", ".", "</s>"]
TARGET = ["<s>", "the", "small", "dog", "runs", "fast", "."]
PAIR = ["[CLS]", "who", "ran", "?", "[SEP]", "a", "dog", "ran", ".", "it", "slept", ".", "[SEP]"]


class Decoder(nn.Module):
    is_cross_attention = True

    def forward(self, scores):
        keys = torch.eye(scores.shape[-1]).expand(1, scores.shape[1], -1, -1)
        return F.scaled_dot_product_attention(scores * scores.shape[-1] ** 0.5, keys, keys)


def crossing(queries, keys, heads=2, strength=2.0):
    model = Decoder()
    scores = strength * torch.randn(1, heads, queries, keys, generator=torch.Generator().manual_seed(1))
    with regard.watch(model) as seen:
        model(scores)
    return seen


def pairs_of(weights, sources, targets):
    """Return each target word with its strongest source word, counted among real words, source first."""
    strongest = [(sources[int(weights[row, sources].argmax())], row) for row in targets]
    numbered = sorted((sources.index(source), targets.index(target)) for source, target in strongest)
    return " ".join(f"{source}-{target}" for source, target in numbered)


@pytest.fixture(scope="module")
def seen():
    return crossing(len(TARGET), len(SOURCE))


@pytest.fixture(scope="module")
def weights(seen):
    return seen.sites[0].weights()[0].double()


@pytest.fixture(scope="module")
def saved(seen, tmp_path_factory):
    shown = regard.report(seen, regard.words(SOURCE), target=regard.words(TARGET), layer=0, head=0)
    return shown.save(tmp_path_factory.mktemp("alignment") / "a.html")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    generator = torch.Generator().manual_seed(2)
    query, key = 2 * torch.randn(2, 1, 1, len(PAIR), 6, generator=generator)
    with regard.watch() as seen:
        F.scaled_dot_product_attention(query, key, key)
    path = regard.report(seen, regard.words(PAIR)).save(tmp_path_factory.mktemp("alignment") / "pair.html")
    return path, seen.sites[0].weights()[0, 0].double()


def said(page):
    return page.text_content("#says")


def address(page, part):
    """Wait until the address says something."""
    page.wait_for_url(lambda url: part in url)


def listed(page):
    return page.input_value("#alignment-pairs-a")


def walk(page, *keys):
    page.focus("#alignment-a")
    for key in keys:
        page.keyboard.press(key)


def test_words_and_their_strongest_are_listed(opened, saved, weights):
    page = opened(saved, "#view=alignment")
    assert listed(page) == pairs_of(weights[0], list(range(6)), list(range(1, 7)))
    page.select_option("#alignment-rule-a", "enough")
    page.locator("#alignment-least-a").fill("7")
    enough = (weights[0, 1:, :6] >= 0.2).nonzero().tolist()
    assert listed(page) == " ".join(f"{source}-{target}" for source, target in sorted((s, t) for t, s in enough))


@pytest.mark.parametrize("name", ["t5 single", "bart single"])
def test_pairs_are_those_of_the_models_own_weights(tmp_path, opened, name):
    family = FAMILIES[name]
    inputs = family.inputs()
    with torch.no_grad():
        eager = family.build("eager")(**inputs, output_attentions=True)
        with regard.watch(model := family.build("sdpa")) as seen:
            model(**inputs)
    sources, targets = (range(inputs[each].shape[1]) for each in ("input_ids", "decoder_input_ids"))
    words = [f"wort{place}" for place in sources], [f"word{place}" for place in targets]
    path = regard.report(seen, words[0], target=words[1]).save(tmp_path / "a.html")
    page = opened(path, "#view=alignment&head=0.2.0.1")
    expected = pairs_of(eager.cross_attentions[0][0, 1].double(), list(sources), list(targets))
    assert listed(page) == expected
    assert opened(path).input_value("#group") == "2"
    assert opened(path, "#head=0.0.0.1").input_value("#group") == "0"


def test_pairs_are_copied(opened, saved):
    page = opened(saved, "#view=alignment")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#alignment-copy-a")
    page.wait_for_selector("#alignment-copy-a:has-text('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == listed(page)


def test_a_target_word_says_its_sources_and_the_other_way_round(opened, saved, weights):
    page = opened(saved, "#view=alignment")
    walk(page, "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    best = weights[0, 3].argmax()
    assert said(page).startswith(f"Target word dog attends to: {SOURCE[best]} {100 * weights[0, 3, best]:.1f} %")
    page.keyboard.press("Enter")
    address(page, "queries=3-4")
    page.keyboard.press("ArrowUp")
    best = weights[0, :, 0].argmax()
    told = f"{TARGET[best]} {100 * weights[0, best, 0]:.1f} %"
    assert said(page).startswith(f"Who attends to source word der: {told}")
    page.keyboard.press("Escape")
    assert "dog" not in said(page)
    assert "der" not in said(page)


def test_the_small_matrix_holds_every_weight(opened, saved, weights):
    page = opened(saved, "#view=alignment")
    page.focus(".alignment-matrix")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith("Target word the attends to source word kleine: ")
    assert f"{100 * weights[0, 1, 1]:.1f} %" in said(page)


def test_two_stretches_of_one_text_change_places(opened, pair):
    path, weights = pair
    page = opened(path, "#view=alignment")
    question, context = [1, 2, 3], list(range(5, 12))
    assert listed(page) == pairs_of(weights, context, question)
    page.click("#alignment-swap-a")
    assert listed(page) == pairs_of(weights, question, context)
    page.click("#alignment-swap-a")
    assert listed(page) == pairs_of(weights, context, question)


def test_whole_sentences_are_pinned(opened, pair):
    path, weights = pair
    page = opened(path, "#view=alignment")
    page.check("#alignment-sentences-a")
    walk(page, "ArrowRight", "Enter")
    address(page, "queries=1-4")
    shares = [float(weights[1:4, start:stop].sum(-1).mean()) for start, stop in ((5, 9), (9, 12))]
    texts = ["a dog ran .", "it slept ."]
    expected = [f"{100 * share:.1f} % {text}" for share, text in sorted(zip(shares, texts, strict=True))[::-1]]
    found = page.locator(".alignment-sentences li").all_text_contents()
    assert [" ".join(each.split()) for each in found] == expected


def test_one_text_alone_has_no_alignment(tmp_path, opened):
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 1, 4, 4))
    page = opened(regard.report(seen, regard.words(["[CLS]", "one", "text", "[SEP]"])).save(tmp_path / "a.html"))
    assert page.locator("#tab-alignment").count() == 0


@pytest.mark.parametrize("count", [1, 40, 500])
def test_texts_of_any_length_stay_within_the_page(tmp_path, opened, count):
    source = regard.words([f"wort{place}" for place in range(count)])
    target = regard.words([f"word{place}" for place in range(max(1, count // 2))])
    path = regard.report(crossing(max(1, count // 2), count, heads=1), source, target=target).save(
        tmp_path / "a.html"
    )
    for width in (360, 1300):
        page = opened(path, "#view=alignment", viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        walk(page, "ArrowRight")
        assert said(page).startswith("Target word word0 attends to")
        assert len(listed(page).split()) == max(1, count // 2)


def test_any_words_are_drawn_and_saved(tmp_path, opened):
    hostile = ["</script><b>x", "שלום", "🐕‍🦺", "\u200b", "a" * 300]
    shown = regard.report(crossing(5, 5, heads=1), regard.words(hostile), target=regard.words(hostile))
    page = opened(shown.save(tmp_path / "a.html"), "#view=alignment")
    walk(page, "ArrowRight")
    assert said(page).startswith("Target word </script><b>x attends to")
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert drawn.count("&lt;/script&gt;&lt;b&gt;x") >= 2
    assert "U+200B" in drawn
    assert "<b>" not in drawn


def test_a_difference_has_no_pairs(opened, saved):
    page = opened(saved, "#view=alignment&compare=difference&with=0.0.0.1")
    walk(page, "ArrowRight")
    assert "differs on" in said(page)
    assert page.locator("#alignment-pairs-a").count() == 0
