"""Choosing modules by path: a path with all below it, a pattern, several of these, or a function of the path."""

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase

from regard.errors import RegardError

Paths = str | Collection[str] | Callable[[str], bool]
Choice = tuple[str, ...] | Callable[[str], bool]


def choice_of(paths: Paths, error: type[RegardError]) -> Choice:
    """Check a choice of modules.

    Args:
        paths: a string chooses the module of that path and those below it, one with *, ? or [ those whose paths
            match it as a whole; a collection of strings chooses what any of them does; a function is asked of each
            path.
        error: what to raise.

    Raises:
        RegardError: the error, where it is none of these.
    """
    if callable(paths):
        return paths
    several = (paths,) if isinstance(paths, str) else tuple(paths) if isinstance(paths, Collection) else ()
    if not several or not all(isinstance(each, str) for each in several):
        raise error(
            'paths: expected a path such as "decoder", a pattern such as "*.self_attn", several of these, or a'
            f" function of the path; got {paths!r}"
        )
    return several


def chooses(choice: Choice, path: str) -> bool:
    """Whether a module is chosen."""
    return bool(choice(path)) if callable(choice) else any(_fits(each, path) for each in choice)


def unmet(choice: Choice, paths: Iterable[str]) -> list[str]:
    """Return what of a choice none of some modules stands for."""
    met = list(paths)
    if callable(choice):
        return [] if any(map(choice, met)) else [named(choice)]
    return [each for each in choice if not any(_fits(each, path) for path in met)]


def named(choice: Choice) -> str:
    """Return a choice in a few words."""
    return getattr(choice, "__name__", repr(choice)) if callable(choice) else str(list(choice))


def _fits(chosen: str, path: str) -> bool:
    if any(sign in chosen for sign in "*?["):
        return fnmatchcase(path, chosen)
    # The model itself has an empty path, and everything is below it.
    above = chosen.rstrip(".")
    return not above or path == above or path.startswith(f"{above}.")
