"""What can go wrong while training, split by what the caller does about it."""


class TrainingError(Exception):
    """Root of the package's errors."""


class MissingProgramError(TrainingError):
    """A system package is absent; the message names it."""


class RenderError(TrainingError):
    """A synthesiser ran and failed."""


class MissingBankError(TrainingError):
    """There is no bank of rendered stems yet: `prepare` makes it."""


class NotAnHTDemucsError(TrainingError):
    """A file of weights holds another architecture."""


class NotAlikeError(TrainingError):
    """Two models that are to be blended differ in more than their weights' values."""


class UnknownSongError(TrainingError):
    """There is no held-out song of that number."""
