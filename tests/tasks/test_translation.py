"""Translation learns with every kind of model and attention, answers alike with and without a cache, and scores."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard.errors import TaskError
from regard.models import generate
from regard.tasks import Answer, Settings
from regard.tasks.data.tokenizer import BEGIN, END, PAD
from regard.tasks.translation import TranslationSettings
from regard.tasks.translation.batches import padded

from .translating import TASK, fresh, rows, tiny, train

KINDS = {
    "transformer": {},
    "two vocabularies": {"joint": False, "order": "post", "attention_dropout": 0.1, "dropout": 0.1},
    "words": {"attention": "additive; soft_cap(20)", "source_attention": "entmax15"},
    "a window": {"attention": "dot; window(2)", "source_attention": "bilinear"},
    "linear": {"attention": "linear", "source_attention": "linear"},
    "hard": {"attention": "alibi", "source_attention": "hard"},
    "searching": {"model": "searching"},
    "searching, narrow embeddings": {"model": "searching", "embedding": 5},
    "searching, sparse": {"model": "searching", "source_attention": "dot; sparsemax"},
    "searching, none": {"model": "searching", "source_attention": "none"},
    "input feeding": {"model": "input_feeding"},
    "input feeding, additive": {"model": "input_feeding", "source_attention": "additive", "dropout": 0.1},
}
kinds = pytest.mark.parametrize("kind", KINDS)


@cache
def learned(kind):
    """Return a model of a kind that answers differently to different lines, with what belongs to it."""
    settings = tiny(**KINDS[kind])
    model, parts = fresh(settings, rows(50))
    return model, parts, settings, train(model, parts, settings, 30, rate=1e-2)


def test_query_key_and_value_start_as_one_matrix_of_all_three():
    model, _ = fresh(tiny(width=128), rows(50))
    attention = model.encoder.blocks[0].attention
    whole, single = (nn.init.xavier_uniform_(torch.empty(count * 128, 128)).std() for count in (3, 1))
    for projection in (attention.query, attention.key, attention.value):
        torch.testing.assert_close(projection.weight.std(), whole, rtol=0.03, atol=0)
    torch.testing.assert_close(attention.output.weight.std(), single, rtol=0.03, atol=0)


@kinds
def test_the_loss_falls(kind):
    _, parts, _, losses = learned(kind)
    assert losses[0] < 2 * math.log(parts.target.size)
    assert sum(losses[9:12]) < 0.9 * sum(losses[:3])


@kinds
def test_answers_are_those_without_a_cache(kind):
    model, parts, settings, _ = learned(kind)
    items = [TASK.features({"source": row["source"]}, parts, settings) for row in rows(5, seed=9)]
    source = padded([item["source"] for item in items])
    answers = TASK.answer(model, items, parts, settings)
    assert len({answer.tokens for answer in answers}) > 2
    written = generate(
        model,
        torch.full((5, 1), BEGIN),
        length=torch.tensor([settings.length(len(item["source"])) for item in items]),
        stop=END,
        memory=model.encode(source, real=source != PAD),
        cache=False,
        fill=PAD,
    )
    assert [list(answer.tokens) for answer in answers] == [
        [token for token in tokens if token != END] for tokens in written.lists()
    ]


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("model_kind", ["transformer", "searching", "input_feeding"])
def test_an_answer_does_not_depend_on_its_batch(beam, model_kind):
    settings = tiny(beam=beam, model=model_kind)
    model, parts = fresh(settings, rows(50))
    train(model, parts, settings, 10, rate=1e-2)
    items = [TASK.features(TASK.asked(row["source"], settings), parts, settings) for row in rows(4, seed=3)]
    together = TASK.answer(model, items, parts, settings)
    for item, answer in zip(items, together, strict=True):
        (alone,) = TASK.answer(model, [item], parts, settings)
        assert answer.tokens == alone.tokens
        assert answer.log_probability == pytest.approx(alone.log_probability, abs=1e-4)
    assert all(answer.text == parts.target.decode(answer.tokens) for answer in together)


def test_the_loss_is_the_cross_entropy_of_what_follows():
    settings = tiny()
    data = rows(6)
    model, parts = fresh(settings, data)
    model.eval()
    batch = TASK.batch([TASK.features(row, parts, settings) for row in data], parts)
    total = TASK.loss(model, batch, 0.1)
    expected, count = 0.0, 0
    for row in data:
        features = TASK.features(row, parts, settings)
        assert features["target"][-1] == END
        source, target = torch.tensor([features["source"]]), torch.tensor([[BEGIN, *features["target"]]])
        logits = model(source, target[:, :-1])
        expected += F.cross_entropy(logits[0], target[0, 1:], label_smoothing=0.1, reduction="sum").item()
        count += len(features["target"])
    assert total.count == count
    assert total.sum.item() == pytest.approx(expected, rel=1e-5)


def test_it_learns_a_made_up_language():
    settings = tiny(model="searching")
    model, parts = fresh(settings, rows(50))
    train(model, parts, settings, 100, rate=1e-2)
    asked = rows(40, seed=10_000)
    answers = TASK.answer(model, [TASK.features(row, parts, settings) for row in asked], parts, settings)
    scores = TASK.score(answers, asked, settings).values
    assert scores["exact"] > 90
    assert scores["BLEU"] > 90


def test_tokenizers_are_kept_in_a_folder(tmp_path):
    for joint in (True, False):
        settings = tiny(joint=joint)
        parts = TASK.fit(rows(50), settings)
        folder = tmp_path / str(joint)
        folder.mkdir()
        parts.save(folder)
        again = TASK.load_parts(folder)
        assert again.joint is joint
        assert again.source.encode("one two") == parts.source.encode("one two")
        assert again.target.encode("eins zwei") == parts.target.encode("eins zwei")


def test_scores_are_sacrebleus():
    from sacrebleu import corpus_bleu, corpus_chrf

    answers, right = ["The cat sat.", "a dog ran off"], ["the cat sat.", "A dog ran away"]
    given = [Answer(text) for text in answers], [{"target": text} for text in right]
    scores = TASK.score(*given, TranslationSettings())
    assert scores.values["BLEU"] == pytest.approx(corpus_bleu(answers, [right]).score)
    assert scores.values["chrF"] == pytest.approx(corpus_chrf(answers, [right]).score)
    assert scores.values["exact"] == 0
    assert "tok:13a" in scores.signatures["BLEU"]
    lower = TASK.score(*given, TranslationSettings(lower=True, bleu_words="none"))
    assert lower.values["exact"] == 50
    assert "case:lc" in lower.signatures["BLEU"]
    assert "tok:none" in lower.signatures["BLEU"]
    assert lower.values["BLEU"] == pytest.approx(
        corpus_bleu(answers, [right], lowercase=True, tokenize="none").score
    )


def test_nothing_answered_is_worth_nothing():
    assert TASK.score([], [], TranslationSettings()).values == {"BLEU": 0.0, "chrF": 0.0, "exact": 0.0}
    assert TASK.answer(torch.nn.Identity(), [], None, TranslationSettings()) == []


def test_translations_have_a_greatest_length():
    settings = TranslationSettings(longest=30, per_token=2)
    assert [settings.length(tokens) for tokens in (0, 1, 5, 100)] == [10, 12, 20, 30]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "de", "target": "de"}, "expected two columns; got 'de' and 'de'"),
        ({"width": 30, "heads": 4}, "task.width: expected a multiple of task.heads; got 30 and 4"),
        ({"source_attention": "none"}, '"none" is for recurrent models'),
        (
            {"model": "searching", "attention": "dot; window(3)"},
            "searching is recurrent and has no attention of a side",
        ),
        ({"model": "input_feeding", "attention_dropout": 0.1}, "task.attention_dropout: it is the Transformer's"),
        ({"beam": 0}, "task.beam: expected at least 1; got 0"),
        ({"dropout": 1.0}, "task.dropout: expected from 0 to below 1; got 1.0"),
        ({"per_token": -1.0}, "task.per_token: expected a finite number, 0 or above; got -1.0"),
        ({"per_token": math.inf}, "task.per_token: expected a finite number, 0 or above; got inf"),
        ({"length_penalty": 1e9}, "task.length_penalty: expected from -10 to 10; got 10*"),
        ({"embedding": -1}, "task.embedding: expected a finite number, 0 or above; got -1"),
        ({"vocabulary": 4}, "task.vocabulary: expected more than 4 tokens, which special ones take; got 4"),
        ({"vocabulary": 260, "byte_fallback": True}, "more than 260 tokens, which special ones and bytes take"),
        ({"tokenizer": "words", "byte_fallback": True}, "task.byte_fallback: .* no pieces to spell with"),
        ({"embedding": 64}, "task.embedding: it is for model=searching"),
        ({"attention": "additve"}, "^task.attention: .* Did you mean additive?"),
    ],
)
def test_settings_that_have_no_meaning_are_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        TranslationSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "dot; neighbourhood(2, 2)"}, "^task.attention: "),
        (
            {"source_attention": "dot; window(4)"},
            r"^task.source_attention: .*window\(4\): it compares places within",
        ),
        ({"model": "searching", "source_attention": "linear"}, "^task.source_attention: .*expected a score"),
    ],
)
def test_words_that_have_no_meaning_are_refused(changes, message):
    settings = tiny(**changes)
    parts = TASK.fit(rows(20), settings)
    with pytest.raises(TaskError, match=message):
        TASK.build(parts, settings)


def test_without_files_dates_are_learned():
    settings = Settings.read(TASK, sets=["task.source=date"], defaults=TASK.defaults_without_files()).task
    train_rows, valid_rows = TASK.own_rows(settings, seed=3)
    assert {frozenset(row) for row in (*train_rows, *valid_rows)} == {frozenset({"date", "target"})}
    parts = TASK.fit(train_rows[:2000], settings)
    items = [TASK.features(row, parts, settings) for row in valid_rows[:50]]
    assert all(
        parts.target.decode(item["target"]) == row["target"] for item, row in zip(items, valid_rows, strict=False)
    )


def test_the_example_is_the_published_model():
    config = Path(__file__).parents[2] / "examples" / "translation" / "multi30k-tiny.yaml"
    settings = Settings.read(TASK, config)
    many = [{"source": f"{chr(0x4E00 + n)} {chr(0x4E00 + n)}", "target": "x"} for n in range(9992)]
    words = TranslationSettings(**{**settings.task.__dict__, "tokenizer": "characters"})
    parts = TASK.fit(many, words)
    assert parts.source.size == pytest.approx(10_000, abs=10)
    count = sum(each.numel() for each in TASK.build(parts, settings.task).parameters())
    assert count == pytest.approx(2.6e6, rel=0.01)  # "about 2.6 M" in the paper
