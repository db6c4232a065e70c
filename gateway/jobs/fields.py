"""The fields of a submission beside the file: text from a form to checked values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stemcore.errors import ErrorCode, InvalidInput
from stemcore.submission import SubmissionFields, checked

_NESTED = "output."
_JSON_FIELDS = ("output", "metadata")


def parse_fields(texts: Sequence[tuple[str, str]]) -> SubmissionFields:
    """Checked fields from (name, value) pairs; raises InvalidInput naming each wrong one."""
    return checked(_collected(texts))


def _collected(texts: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for name, text in texts:
        if not text:
            # A form on a page sends what was left blank.
            continue
        if name == "stems":
            named = [stem.strip() for stem in text.split(",")]
            values.setdefault(name, []).extend(stem for stem in named if stem)
        elif name.startswith(_NESTED):
            _set_once(values.setdefault("output", {}), name.removeprefix(_NESTED), text)
        else:
            _set_once(values, name, _json(name, text) if name in _JSON_FIELDS else text)
    return values


def _set_once(values: Any, name: str, value: Any) -> None:
    if not isinstance(values, dict):
        raise _invalid("`output` must be a JSON object.")
    if name in values:
        raise _invalid(f"The field {name!r} is given twice.", field=name)
    values[name] = value


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid(f"The field {name!r} must be JSON.", field=name) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _invalid(message: str, **details: Any) -> InvalidInput:
    return InvalidInput(ErrorCode.INVALID_REQUEST, message, details=details)
