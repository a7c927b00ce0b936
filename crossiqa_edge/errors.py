"""Every error that this package raises on purpose.

A message is one line that says what was wrong, where, and what to do next: the command line prints
it as it stands, so nothing here needs a traceback to be understood.
"""


class CrossIQAError(Exception):
    """Base of all the package's own errors."""


class InputError(CrossIQAError):
    """A picture, a folder or a list that cannot be read or is not fit to be scored."""


class FormatError(InputError):
    """A file that is not a picture of a kind that is read."""


class LimitError(InputError):
    """A picture larger than is accepted."""


class ArtefactError(CrossIQAError):
    """A model file that is missing, damaged, hostile, or lacks its card."""


class BackendError(CrossIQAError):
    """A runtime that is not installed, or that failed on a sound artefact."""


class DatasetError(CrossIQAError):
    """A data set whose folder structure or labels are not what its release has."""


class ConfigError(CrossIQAError):
    """A recipe or option with a wrong, unknown or contradictory value."""


class OutputError(CrossIQAError):
    """A result that could not be written: full disk, no permission, existing file."""


class MissingDependencyError(CrossIQAError):
    """An optional library is absent; the message names the extra that brings it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(purpose, extra)  # both, so that the error survives pickling between processes
        self.purpose, self.extra = purpose, extra

    def __str__(self) -> str:
        return f"{self.purpose} needs more packages: pip install 'crossiqa-edge[{self.extra}]'"
