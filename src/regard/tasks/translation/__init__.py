"""Translation: from pairs of lines to a model that translates, and shows which words it read for each it wrote."""

from regard.tasks.translation.settings import TranslationSettings
from regard.tasks.translation.task import Translation

__all__ = ["Translation", "TranslationSettings"]
