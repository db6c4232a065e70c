"""The document on models says what the presets are."""

import re
from pathlib import Path

from stemcore.presets import PRESETS

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def test_every_preset_is_listed_with_its_options() -> None:
    _, _, section = TEXT.partition("## Presets")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [preset.name for preset in PRESETS]
    for preset, (_, told) in zip(PRESETS, rows, strict=True):
        for option, value in preset.options.items():
            shown = option if value is True else f"{option}={value}"
            assert f"`{shown}`" in told
