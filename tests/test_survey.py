"""Surveys: what they find, that nothing stops, parts or overwrites them, and what is told of two."""

import contextlib
import math
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import regard
from regard import Survey, compare_surveys, survey
from regard.errors import InputError, WatchError
from regard.watch.survey import running
from regard.watch.survey.findings import TOTALS
from regard.watch.tally import STATISTICS
from tests import survey_cases as cases

TEXTS = cases.texts(150)


@cache
def tools():
    return cases.model(), cases.tokenizer()


def run(out, texts=TEXTS, **options):
    return survey(*tools(), texts, out, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "out")


# What is found


def test_every_mean_is_that_of_the_eager_model_document_by_document(whole):
    model, tokenizer = cases.model(), cases.tokenizer()
    model.set_attn_implementation("eager")
    expected = torch.zeros(2, 2)
    for text in TEXTS:
        with torch.no_grad():
            found = model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
        expected += torch.stack([-torch.xlogy(P, P).sum(-1).mean(-1)[0] for P in found]) / len(TEXTS)
    means = [head.statistics["entropy"].mean for head in whole.tally.heads()]
    assert means == pytest.approx(expected.flatten().tolist(), abs=1e-4)
    assert whole.tally.documents == len(TEXTS)
    assert whole.tally.queries == sum(len(text.split()) + 2 for text in TEXTS)


def test_batches_of_other_sizes_agree_to_rounding(whole, tmp_path):
    alone = run(tmp_path / "a", batch_size=1)
    for one, other in zip(whole.tally.heads(), alone.tally.heads(), strict=True):
        for name in STATISTICS:
            assert one.statistics[name].mean == pytest.approx(other.statistics[name].mean, abs=1e-4)


def test_examples_say_where_they_are_from(whole):
    head = whole.tally.heads()[0]
    for example in (e for best in head.examples.values() for e in best):
        assert example.place == f"text {example.document + 1}"
        assert example.excerpt == TEXTS[example.document]
        assert all(link.query in example.excerpt and link.key in example.excerpt for link in example.links)


def test_long_documents_are_cut_off_and_counted(tmp_path):
    long = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    found = run(tmp_path / "a", [long, "a b"])
    assert found.reading.truncated == 1
    assert found.tally.queries == 24 + 4
    assert run(tmp_path / "b", [long, "a b"], max_tokens=5).tally.queries == 5 + 4


@pytest.mark.parametrize("most", [2, 25, 1000])
def test_lengths_that_the_model_does_not_take_are_refused(tmp_path, most):
    with pytest.raises(InputError, match=rf"expected from 3 to 24, .* got {most}"):
        run(tmp_path / "a", max_tokens=most)
    assert not (tmp_path / "a").exists()


def test_an_encoder_decoder_shows_its_encoder_or_all_of_it(tmp_path):
    model = cases.encoder_decoder()
    (tmp_path / "a.jsonl").write_text('{"text": "a b c", "target": "x y"}\n{"text": "a b", "target": "z"}\n')
    alone = survey(model, cases.tokenizer(), tmp_path / "a.jsonl", tmp_path / "a")
    assert len(alone.tally.sites) == 1
    both = survey(model, cases.tokenizer(), tmp_path / "a.jsonl", tmp_path / "b", target_field="target")
    kinds = [site.kind for site in both.tally.sites.values()]
    assert sorted(kinds) == ["cross", "self", "self"]
    cross = next(head for head in both.tally.heads() if both.tally.sites[head.site].kind == "cross")
    links = [link for e in cross.examples["worth"] for link in e.links]
    assert links
    assert all(link.query in "xyz" and link.key in "abc" for link in links)
    with pytest.raises(InputError, match="expected an encoder-decoder"):
        survey(*tools(), tmp_path / "a.jsonl", tmp_path / "c", target_field="target")


def test_what_cannot_be_read_is_counted_and_listed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a b\n\nKöln\nc\n".encode("latin-1"))
    found = survey(*tools(), path, tmp_path / "a")
    assert (found.tally.documents, found.reading.blank) == (2, 1)
    assert found.reading.bad == {"is not in UTF-8 (byte 2)": 1}
    assert found.reading.places == ((2, "a.txt, line 3", "is not in UTF-8 (byte 2)"),)
    with pytest.raises(InputError, match=r"--strict: a.txt, line 3 is not in UTF-8"):
        survey(*tools(), path, tmp_path / "b", strict=True)
    path.write_bytes(b"\xff\n" * 3)
    with pytest.raises(InputError, match=r"(?s)expected at least one document.*a.txt, line 1: is not in UTF-8"):
        survey(*tools(), path, tmp_path / "c")
    assert not list((tmp_path / "c").glob("*"))


def test_a_limit_counts_documents_that_can_be_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n\n\xff\nb\nc\n")
    found = survey(*tools(), path, tmp_path / "a", limit=2)
    assert (found.tally.documents, found.reading.blank, sum(found.reading.bad.values())) == (2, 1, 1)


# Stopping and going on


class Stop(BaseException):
    pass


def stopping(after):
    steps = iter(range(after))

    def told(_):
        if next(steps, None) is None:
            raise Stop

    return told


@pytest.mark.parametrize("after", [1, 2, 11, 30])
def test_a_survey_that_was_stopped_goes_on_without_loss_or_repetition(whole, tmp_path, after):
    stops = 0
    while not (tmp_path / "a" / TOTALS).exists():
        try:
            run(tmp_path / "a", resume=stops > 0, on_progress=stopping(after))
        except Stop:
            stops += 1
        assert stops < 100
    assert stops > 0
    assert Survey.load(tmp_path / "a").packed() == whole.packed()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [TOTALS]


CHILD = """
import sys, time
from regard import survey
from regard.watch.survey import running
from tests import survey_cases as cases
running._SAVE_EVERY = 0.0
def told(now):
    print(now.documents, flush=True)
    time.sleep(0.02)
survey(cases.model(), cases.tokenizer(), cases.texts(150), sys.argv[1], resume=True, on_progress=told)
"""


def started(*command, **options):
    root = Path(regard.__file__).parents[2]
    folders = os.pathsep.join([str(root / "src"), str(Path(__file__).parents[1])])
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": folders}, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_a_process_killed_at_any_time_loses_and_repeats_nothing(whole, tmp_path):
    for documents in (20, 70):
        process = started("-c", CHILD, str(tmp_path / "a"))
        for line in process.stdout:
            if int(line) >= documents:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    resumed = run(tmp_path / "a", resume=True)
    assert resumed.tally == whole.tally
    assert resumed.reading == whole.reading


SHARED = """
import sys
from regard import survey
from tests import survey_cases as cases
found = survey(cases.model(), cases.tokenizer(), cases.texts(150), sys.argv[1])
print(found.tally.documents, flush=True)
"""


@pytest.mark.slow
def test_two_processes_find_what_one_finds(whole, tmp_path):
    (tmp_path / "child.py").write_text(SHARED)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = started(*torchrun, str(tmp_path / "child.py"), str(tmp_path / "a"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    # Two processes write at once, so that their lines may run together.
    assert "".join(out.split()) == "150150"
    assert (tmp_path / "a" / TOTALS).read_bytes() == whole.packed()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [TOTALS]


def test_a_finished_survey_is_not_made_again(whole, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path / "a", on_progress=stopping(5))
    state = next((tmp_path / "a").iterdir())
    left = state.read_bytes()
    run(tmp_path / "a", resume=True)
    state.with_name("state-1-of-2.safetensors").write_bytes(left)  # as if killed while tidying up
    again = run(tmp_path / "a", resume=True, on_progress=stopping(0))
    assert again.packed() == whole.packed()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [TOTALS]


@pytest.mark.parametrize("finished", [True, False])
def test_what_stands_in_the_folder_is_not_overwritten(tmp_path, finished):
    with contextlib.suppress(Stop):
        run(tmp_path / "a", on_progress=(lambda _: None) if finished else stopping(5))
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    with pytest.raises(InputError, match="--force"):
        run(tmp_path / "a")
    for options, said in [
        ({"batch_size": 4}, "another batch_size .it was 8, now 4."),
        ({"limit": 9}, "another limit"),
        ({"texts": TEXTS[1:]}, "another corpus"),
    ]:
        with pytest.raises(InputError, match=said):
            run(tmp_path / "a", resume=True, **options)
    with pytest.raises(InputError, match=r"another model .its weights"):
        survey(cases.model(1), cases.tokenizer(), TEXTS, tmp_path / "a", resume=True)
    with pytest.raises(InputError, match="got both"):
        run(tmp_path / "a", resume=True, force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
    assert run(tmp_path / "a", TEXTS[:3], force=True).tally.documents == 3


def test_a_state_of_several_processes_is_not_continued_by_one(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path / "a", on_progress=stopping(5))
    state = next((tmp_path / "a").iterdir())
    state.rename(state.with_name("state-0-of-2.safetensors"))
    with pytest.raises(InputError, match="as many processes"):
        run(tmp_path / "a", resume=True)


def test_files_of_others_stay(tmp_path):
    (tmp_path / "survey.csv").write_text("mine")
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(InputError, match=r"holds survey.csv"):
        run(tmp_path)
    run(tmp_path, TEXTS[:3], force=True)
    assert (tmp_path / "notes.md").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run(tmp_path / "file")
    with pytest.raises(InputError, match="cannot make the folder"):
        run(tmp_path / "file" / "a")


@pytest.mark.slow
def test_the_state_does_not_grow_with_the_corpus(whole, tmp_path):
    sizes = [len(whole.packed()), len(run(tmp_path / "a", TEXTS * 4).packed())]
    assert sizes[1] < 1.03 * sizes[0]


def test_what_a_failing_model_had_found_is_kept(tmp_path, monkeypatch):
    def fail(reader, batch):
        if batch[0].document.number > 70:
            raise RuntimeError("out of memory")
        reader.model(input_ids=torch.tensor([each.inputs["input_ids"] for each in batch]))

    with monkeypatch.context() as patch:
        patch.setattr(running.Reader, "run", fail)
        with pytest.raises(WatchError, match=r"the model failed at text \d+.*: out of memory"):
            run(tmp_path / "a")
    assert run(tmp_path / "a", resume=True).tally.documents == len(TEXTS)


def test_a_model_without_attention_leaves_no_trace(tmp_path):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(30, 4)

        def forward(self, input_ids, **_):
            return self.embed(input_ids)

    with pytest.raises(WatchError, match="shows no attention"):
        survey(Plain(), cases.tokenizer(), TEXTS, tmp_path / "a")
    assert not list((tmp_path / "a").iterdir())


# What differs


def test_a_survey_does_not_differ_from_itself(whole):
    same = compare_surveys(whole, whole)
    assert same.same_documents
    assert {d.estimate.mean for d in same.differences} == {0.0}
    assert {d.adjusted for d in same.differences} == {1.0}
    assert same.changed_kinds == ()


def test_models_are_compared_in_pairs_over_the_same_documents(whole, tmp_path):
    other = survey(cases.model(1), cases.tokenizer(), TEXTS, tmp_path / "a")
    found = compare_surveys(whole, other)
    assert found.same_documents
    heads = [{(h.site, h.head): h for h in each.tally.heads()} for each in (whole, other)]
    for d in found.differences:
        one, two = (each[d.site, d.head].statistics[d.statistic] for each in heads)
        assert d.estimate.mean == pytest.approx(one.mean - two.mean, abs=1e-9)
        assert d.estimate.low <= d.estimate.mean <= d.estimate.high
        assert d.adjusted >= d.estimate.p
    assert [d.adjusted for d in found.differences] == sorted(d.adjusted for d in found.differences)
    assert found.differences[0].adjusted < 0.01
    opposite = compare_surveys(other, whole)
    assert {-d.estimate.mean for d in opposite.differences} == {d.estimate.mean for d in found.differences}


def test_pairs_are_surer_than_means_apart(whole, tmp_path):
    """A slightly changed model: what the documents have in common cancels out in pairs."""
    near = cases.model()
    with torch.no_grad():
        for parameter in near.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    other = survey(near, cases.tokenizer(), TEXTS, tmp_path / "a")
    found = {(d.site, d.head, d.statistic): d.estimate.error for d in compare_surveys(whole, other).differences}
    entropy = [(head, error) for (_, head, name), error in found.items() if name == "entropy"]
    apart = [
        math.hypot(a.statistics["entropy"].error, b.statistics["entropy"].error)
        for a, b in zip(whole.tally.heads(), other.tally.heads(), strict=True)
    ]
    assert all(error < wide / 2 for (_, error), wide in zip(entropy, apart, strict=True))


def test_other_documents_are_compared_by_their_means(whole, tmp_path):
    found = compare_surveys(whole, run(tmp_path / "a", cases.texts(40, seed=9)))
    assert not found.same_documents
    assert all(d.estimate.p is not None for d in found.differences)


def test_models_without_a_head_in_common_are_refused(whole, tmp_path):
    other = survey(cases.encoder_decoder(), cases.tokenizer(), TEXTS[:4], tmp_path / "a")
    with pytest.raises(InputError, match="heads in common"):
        compare_surveys(whole, other)
