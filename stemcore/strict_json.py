"""Dataclasses to JSON and back, strictly: a missing, unknown or wrongly typed field is an error."""

import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class StrictJsonError(ValueError):
    """The text is not the JSON form of the dataclass; says where."""


def dump(value: Any) -> str:
    """Compact, key order as declared, so that equal values give equal texts; NaN is refused."""
    return json.dumps(dataclasses.asdict(value), separators=(",", ":"), allow_nan=False)


def load(cls: type[T], text: str) -> T:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON: {error}") from error
    return cast("T", _decode(cls, data, where=cls.__name__))


def _decode(hint: Any, data: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(cast("type[Any]", hint), data, where=where)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _decode_optional(arguments, data, where=where)
    if origin is Literal:
        return _require(data, data in arguments, where, f"one of {', '.join(map(str, arguments))}")
    if origin is tuple:
        items = _require(data, isinstance(data, list), where, "a list")
        return tuple(
            _decode(arguments[0], item, where=f"{where}[{place}]")
            for place, item in enumerate(items)
        )
    if origin is Mapping:
        items = _require(data, isinstance(data, dict), where, "an object")
        return {
            key: _decode(arguments[1], item, where=f"{where}.{key}") for key, item in items.items()
        }
    return _decode_scalar(hint, data, where=where)


def _decode_dataclass(cls: type[Any], data: Any, *, where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    given = cast("dict[str, Any]", _require(data, isinstance(data, dict), where, "an object"))
    if unknown := given.keys() - fields.keys():
        raise StrictJsonError(f"{where} has unknown fields: {', '.join(sorted(unknown))}")
    if missing := {name for name, field in fields.items() if _required(field)} - given.keys():
        raise StrictJsonError(f"{where} lacks fields: {', '.join(sorted(missing))}")
    hints = get_type_hints(cls)
    return cls(
        **{
            name: _decode(hints[name], value, where=f"{where}.{name}")
            for name, value in given.items()
        }
    )


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _decode_optional(arguments: tuple[Any, ...], data: Any, *, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    (present,) = (argument for argument in arguments if argument is not type(None))
    return _decode(present, data, where=where)


def _decode_scalar(hint: Any, data: Any, *, where: str) -> Any:
    if hint is float:
        number = isinstance(data, int | float) and not isinstance(data, bool)
        return float(_require(data, number, where, "a number"))
    # bool is an int to isinstance, so types are compared exactly
    return _require(data, type(data) is hint, where, f"of type {hint.__name__}")


def _require(data: Any, holds: bool, where: str, expected: str) -> Any:
    if not holds:
        raise StrictJsonError(f"{where} must be {expected}, got {data!r:.60}")
    return data
