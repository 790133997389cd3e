"""Pieces of a unigram model (Kudo 2018), trained by sentencepiece, which gives the same ones for the same words."""

import io
from collections import Counter
from collections.abc import Iterable

import sentencepiece
from tokenizers import Tokenizer

from regard.errors import TaskError


def unigram_pieces(portions: Iterable[list[str]], shape: Tokenizer, most: int) -> list[tuple[str, float]]:
    """Return pieces with the logarithms of their probabilities; none where the lines have no text.

    Args:
        portions: lines; their words are counted and no line is kept.
        shape: brings text to its normal form and cuts it.
        most: how many pieces there are at most.

    Raises:
        TaskError: there are more characters than that.
    """
    words = _counted(portions, shape)
    if not words:
        return []
    letters = len(set().union(*words))
    if letters > most:
        raise TaskError(
            f"a unigram tokenizer spells every text: expected room for its {letters:,} different characters; got"
            f" {most:,}. Take {letters - most:,} more, or another kind"
        )
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(f"{word}\t{count}" for word, count in sorted(words.items())),
            input_format="tsv",
            model_writer=written,
            model_type="unigram",
            vocab_size=most + 1,
            hard_vocab_limit=False,
            character_coverage=1.0,
            # Words come in their normal form and cut.
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_by_unicode_script=False,
            split_by_number=False,
            max_sentence_length=1 << 20,
            # The unknown piece alone, which is left out.
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TaskError(f"no unigram tokenizer of {most:,} pieces fits the text; take more ({error})") from error
    trained = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    return [
        (trained.id_to_piece(number), trained.get_score(number)) for number in range(1, trained.get_piece_size())
    ]


def _counted(portions: Iterable[list[str]], shape: Tokenizer) -> Counter[str]:
    """Return how often there is each word; what is between spaces is cut once, however often it occurs."""
    spaced: Counter[str] = Counter()
    for portion in portions:
        for line in portion:
            spaced.update(line.split(" "))
    words: Counter[str] = Counter()
    for text, count in spaced.items():
        for word, _ in shape.pre_tokenizer.pre_tokenize_str(shape.normalizer.normalize_str(text)):
            if word.isprintable():
                words[word] += count
    return words
