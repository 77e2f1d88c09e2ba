"""The base of everything that is written to disk."""

from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from stablellava.core.errors import RecordError


class Record(BaseModel):
    """Immutable, strict about its fields, with one canonical JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """Return canonical JSON: sorted keys, no spaces, UTF-8."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, data: bytes | str, where: str = "record") -> Self:
        """Parse what ``to_json`` wrote.

        Raises: RecordError naming ``where``, the field and the value.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as exc:
            raise RecordError(f"{where}: {first_problem(exc)}") from exc


def first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's complaints as one line: field, message, value."""
    problem: dict[str, Any] = dict(error.errors(include_url=False)[0])
    field = ".".join(str(part) for part in problem["loc"]) or "value"
    return f"{field}: {problem['msg']} (got {str(problem.get('input'))[:80]!r})"
