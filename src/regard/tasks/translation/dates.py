"""A corpus that needs no file: dates as people write them in many languages, and as ISO 8601 does."""

import datetime
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from regard.errors import TaskError
from regard.tasks.contract import Row
from regard.tasks.extra import extra

# As Unicode's locale data names them; widely read, and of many scripts and orders of day, month and year.
LANGUAGES = (
    *("en", "en_GB", "de", "nl", "sv", "da", "nb", "is"),
    *("fr", "es", "pt", "it", "ro", "ca"),
    *("pl", "cs", "sk", "hr", "ru", "uk", "bg"),
    *("lt", "lv", "el", "fi", "et", "hu", "tr"),
    *("ar_EG", "he", "hi", "bn", "th", "vi", "id", "zh", "ja", "ko"),
)
FIRST_YEAR, LAST_YEAR = 1900, 2099

_STYLES: tuple[Literal["full", "long", "medium", "short"], ...] = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMEd", "yMMMd")
# Zero of the digits that languages write by default, where it is not "0"; the others follow it in Unicode.
_ZEROS = {"arab": "\N{ARABIC-INDIC DIGIT ZERO}", "beng": "\N{BENGALI DIGIT ZERO}"}
_ZEROS |= {"deva": "\N{DEVANAGARI DIGIT ZERO}", "arabext": "\N{EXTENDED ARABIC-INDIC DIGIT ZERO}"}
# Every month, every day of the week, and every pair of numbers that could be day and month or month and day.
_PROBES = [datetime.date(2021, month, day) for month in range(1, 13) for day in (*range(1, 13), 28)]


@dataclass(frozen=True, eq=False)
class Form:
    """One way to write a date.

    Attributes:
        language: as in `LANGUAGES`.
        pattern: the order of its parts, as Unicode's locale data writes it: "EEEE, d. MMMM y".
        locale: Babel's data of the language.
        parsed: the pattern, for Babel.
        digits: what becomes of the digits 0 to 9 and of spaces that are hard to type.
    """

    language: str
    pattern: str
    locale: Any
    parsed: Any
    digits: Mapping[int, str | None]

    def write(self, date: datetime.date) -> str:
        """Return a date of the Gregorian calendar in this form."""
        text: str = self.parsed.apply(date, self.locale)
        return text.translate(self.digits)


@cache
def forms(languages: tuple[str, ...] = LANGUAGES) -> tuple[Form, ...]:
    """Return the ways to write dates that say which day is meant to one who does not know the language.

    A form tells the year in full, and the month by name unless the year stands first; and no text of it is another
    date in another form. All are of the Gregorian calendar, whatever a language's own.

    Args:
        languages: as Unicode's locale data names them.

    Raises:
        TaskError: Babel is not installed, or has no such language.
    """
    found = [form for language in languages for form in _forms_of(language) if _tells(form)]
    meant: dict[str, set[datetime.date]] = defaultdict(set)
    texts = {form: [form.write(date) for date in _PROBES] for form in found}
    for written in texts.values():
        for text, date in zip(written, _PROBES, strict=True):
            meant[text].add(date)
    return tuple(form for form in found if all(len(meant[text]) == 1 for text in texts[form]))


def date_rows(
    seed: int, *, train: int = 60_000, valid: int = 1_000, languages: Sequence[str] = LANGUAGES
) -> tuple[list[Row], list[Row]]:
    """Return rows {"source": a date as people write it, "target": as ISO 8601 does} to train and to validate.

    Each row draws its language, then its form; no date is in both parts, in whatever form.

    Args:
        seed: of what is drawn.
        train: how many rows there are to train, dates being drawn with repetition.
        valid: how many there are to validate, each with a date of its own.
        languages: as Unicode's locale data names them.

    Raises:
        TaskError: Babel is not installed, has no such language, or there are not so many dates.
    """
    first, last = datetime.date(FIRST_YEAR, 1, 1), datetime.date(LAST_YEAR, 12, 31)
    days = list(range(first.toordinal(), last.toordinal() + 1))
    if not 0 <= valid < len(days) or train < 0:
        raise TaskError(f"expected from 0 to {len(days) - 1:,} dates to validate; got {valid:,}")
    drawn = random.Random(seed)
    drawn.shuffle(days)
    ways: dict[str, list[Form]] = defaultdict(list)
    for form in forms(tuple(languages)):
        ways[form.language].append(form)
    kinds = list(ways.values())

    def rows(ordinals: Iterable[int]) -> list[Row]:
        dates = map(datetime.date.fromordinal, ordinals)
        return [
            {"source": drawn.choice(drawn.choice(kinds)).write(date), "target": date.isoformat()} for date in dates
        ]

    return rows(drawn.choices(days[valid:], k=train)), rows(days[:valid])


def _forms_of(language: str) -> list[Form]:
    with extra():
        from babel import Locale, UnknownLocaleError
        from babel.dates import get_date_format, parse_pattern
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError) as error:
        raise TaskError(f"expected a language such as {', '.join(LANGUAGES[:3])}; got {language!r}") from error
    patterns = [get_date_format(style, locale).pattern for style in _STYLES]
    known = locale.datetime_skeletons
    patterns += [known[skeleton].pattern for skeleton in _SKELETONS if skeleton in known]
    zero = ord(_ZEROS.get(locale.default_numbering_system, "0"))
    digits: dict[int, str | None] = {ord("0") + digit: chr(zero + digit) for digit in range(10)}
    # Spaces that do not break and marks of direction are hard to type, and seldom typed.
    digits |= {0xA0: " ", 0x202F: " ", 0x200E: None, 0x200F: None, 0x200C: None}
    return [Form(language, pattern, locale, parse_pattern(pattern), digits) for pattern in dict.fromkeys(patterns)]


def _tells(form: Form) -> bool:
    """Return whether a form has day, month and full year, the month by name unless the year stands first."""
    from babel.dates import parse_pattern

    fields = re.findall(r"%\((\w+)\)s", form.parsed.format)
    if "y" not in fields or not {"d", "dd"} & {*fields}:
        return False
    if fields[0] == "y":
        return True
    months = [field for field in fields if field[0] in "ML"]
    names = [parse_pattern(month).apply(date, form.locale) for month in months for date in _PROBES if date.day == 1]
    return bool(names) and all(any(map(str.isalpha, name)) for name in names)
