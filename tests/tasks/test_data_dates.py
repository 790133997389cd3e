"""Dates in many languages: each text is one date, forms are Babel's own, and no date is in both parts."""

import datetime
import random
import re
from collections import Counter

import pytest
from babel.dates import format_date

from regard.errors import TaskError
from regard.tasks.translation.dates import FIRST_YEAR, LANGUAGES, LAST_YEAR, date_rows, forms

# Written by hand.
KNOWN = {
    "Tuesday, 3 March 1931": "en_GB",
    "March 3, 1931": "en",
    "3. März 1931": "de",
    "3 mars 1931": "fr",
    "3 de marzo de 1931": "es",
    "3 марта 1931 г.": "ru",  # noqa: RUF001
    "1931. március 3.": "hu",
    "1931-03-03": "sv",
    "1931年3月3日": "zh",
    "1931/03/03": "ja",
    "1931년 3월 3일": "ko",
    "٣ مارس ١٩٣١": "ar_EG",
    "3 במרץ 1931": "he",
    "3 tháng 3, 1931": "vi",
    "3 Mart 1931 Salı": "tr",  # noqa: RUF001
    "3. maaliskuuta 1931": "fi",
}


def test_forms_write_what_people_of_the_language_do():
    date = datetime.date(1931, 3, 3)
    written = {(form.write(date), form.language) for form in forms()}
    assert set(KNOWN.items()) <= written


def test_two_dates_never_have_the_same_text_in_whatever_language():
    drawn = random.Random(0)
    year = [datetime.date(2024, 1, 1) + datetime.timedelta(days) for days in range(366)]
    others = [
        datetime.date(drawn.randint(FIRST_YEAR, LAST_YEAR), *drawn.choice([(1, 2), (2, 1), (11, 12), (12, 11)]))
    ]
    others += [datetime.date(drawn.randint(FIRST_YEAR, LAST_YEAR), 1 + n % 12, 1 + n % 28) for n in range(100)]
    meant = {}
    for form in forms():
        for date in (*year, *others):
            assert meant.setdefault(form.write(date), date) == date


def test_forms_are_babels_own_but_for_digits_and_spaces():
    date = datetime.date(2047, 10, 28)
    plain = {ord(zero) + n: str(n) for zero in "٠০" for n in range(10)}  # noqa: RUF001
    for form in forms():
        babels = format_date(date, format=form.pattern, locale=form.language)
        babels = re.sub("[\u200c\u200e\u200f]", "", babels).replace("\u202f", " ").replace("\u00a0", " ")
        assert form.write(date).translate(plain) == babels


def test_every_language_has_forms_and_writes_its_own_digits():
    counts = Counter(form.language for form in forms())
    assert set(counts) == set(LANGUAGES)
    assert min(counts.values()) >= 2
    date = datetime.date(2047, 10, 28)
    for form in forms():
        assert ("2047" in form.write(date)) == (form.language not in {"ar_EG", "bn"})


@pytest.mark.parametrize("month", [1, 5, 12])
def test_a_form_in_numbers_alone_begins_with_the_year(month):
    for form in forms():
        text = form.write(datetime.date(2047, month, 9))
        if not any(map(str.isalpha, text)):
            assert text.startswith("2047")


@pytest.mark.parametrize(("one", "other", "text"), [("es", "bas", "1 may 2021"), ("tr", "dav", "1 Kas 2021")])
def test_forms_that_another_language_reads_as_another_date_are_left_out(one, other, text):
    def texts(languages):
        days = [datetime.date(2021, month, 1) for month in range(1, 13)]
        return {form.write(day) for form in forms(languages) for day in days}

    assert text in texts((one,)) & texts((other,))
    assert text not in texts((one, other))


def test_rows_repeat_by_seed_and_share_no_date():
    train, valid = date_rows(3, train=3000, valid=500)
    assert (train, valid) == date_rows(3, train=3000, valid=500)
    assert (train, valid) != date_rows(4, train=3000, valid=500)
    assert (len(train), len(valid)) == (3000, 500)
    assert len({row["target"] for row in valid}) == 500
    assert not {row["target"] for row in train} & {row["target"] for row in valid}
    years = {datetime.date.fromisoformat(row["target"]).year for row in train}
    assert min(years) < FIRST_YEAR + 10
    assert max(years) > LAST_YEAR - 10


def test_rows_hold_what_their_forms_write():
    train, _ = date_rows(0, train=300, valid=0)
    for row in train:
        date = datetime.date.fromisoformat(row["target"])
        assert row["source"] in {form.write(date) for form in forms()}


def test_no_language_is_rare():
    train, _ = date_rows(0, train=4000, valid=10, languages=("ko", "el", "hi"))
    korean = sum("년" in row["source"] or row["source"][4] == "." for row in train)
    assert 0.25 < korean / 4000 < 0.42


def test_what_cannot_be_made_is_refused():
    with pytest.raises(TaskError, match="expected a language such as en"):
        forms(("tlh",))
    with pytest.raises(TaskError, match="expected from 0 to 73,048 dates"):
        date_rows(0, valid=80_000)
