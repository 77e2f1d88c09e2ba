"""Everything this package raises on purpose.

    StableLlavaError
    +-- UserError            exit 2  the user's input has to change
    |   +-- ConfigError              a configuration file or an override
    |   +-- RecordError              a row, an image or a run directory
    +-- BackendError         exit 3  something outside the package is missing or failed
        +-- BackendMissing           not installed, not configured
        +-- BackendFailed            installed, but it did not do its work

A message says what was wrong, the value, and what would work.
Third-party exceptions are wrapped where they are first seen, with ``from exc``.
"""


class StableLlavaError(Exception):
    """Root of the tree; ``exit_code`` is what the command returns."""

    exit_code = 1


class UserError(StableLlavaError):
    """The user's input has to change."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration file or an override is wrong."""


class RecordError(UserError):
    """A row, an image or a run directory is wrong."""


class BackendError(StableLlavaError):
    """A part outside this package stopped the work."""

    exit_code = 3


class BackendMissing(BackendError):
    """A backend is not installed or not configured."""


class BackendFailed(BackendError):
    """A backend is there but could not do its work."""
