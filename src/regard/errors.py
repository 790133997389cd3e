"""Every error that regard raises, as one tree; each message says what was expected, what came, and what to do."""


class RegardError(Exception):
    """Root of all errors that regard raises on purpose."""


class ShapeError(RegardError, ValueError):
    """Tensors do not fit together: number of axes, sizes, data types or devices."""


class MechanismError(RegardError, ValueError):
    """A part of a mechanism (score, modifier, weighing, dropout) has no meaning or does not fit the call."""


class MaskError(MechanismError):
    """A mask does not fit the call, or a combination of masks has no meaning."""


class LayerError(RegardError, ValueError):
    """A layer cannot be built as asked, or was given what does not fit it."""


class WantError(RegardError, ValueError):
    """Something was asked for by a name that does not exist."""


class EngineError(RegardError, RuntimeError):
    """No engine, or not the engine that was asked for, can compute this call."""


class CacheError(RegardError, ValueError):
    """A cache has no room, or what it is given or asked for does not fit what it keeps."""


class WatchError(RegardError, RuntimeError):
    """A model cannot be watched in this state."""


class NotKeptError(WatchError, LookupError):
    """A statistic was asked of a record that did not keep what it takes."""


class ChangeError(RegardError, ValueError):
    """A change of a model's attention has no meaning, or cannot be made where it was asked for."""


class RecordError(WatchError, ValueError):
    """Records cannot be joined, narrowed, merged, written or read as asked."""


class ReportError(RegardError, ValueError):
    """A report cannot be made or written as asked."""


class InputError(RegardError, ValueError):
    """What the user handed to a command cannot be used: a text, a file, a model."""


class UnknownSiteError(WatchError, LookupError):
    """A record has no site of this name."""


class DropInError(ShapeError, RuntimeError):
    """What a drop-in was given does not fit together; torch's own raises a RuntimeError."""


class DropInTypeError(RegardError, TypeError):
    """An argument of a drop-in is of the wrong kind; torch's own raises a TypeError."""


class ModelError(RegardError, ValueError):
    """A model cannot be built, called or loaded as asked."""


class GenerationError(RegardError, ValueError):
    """A generation was asked for in a way that has no meaning, or the model's logits choose no token."""


class TaskError(RegardError, ValueError):
    """A task cannot be found, trained, resumed or asked as the user wants it: settings, data, run folders."""
