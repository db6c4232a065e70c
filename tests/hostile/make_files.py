"""Makes the hostile files: `python -m tests.hostile.make_files FOLDER [SEED]`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile import disguises, structure

SEED = 20261121


def makers(seed: int = SEED) -> dict[str, Callable[[], bytes]]:
    """What makes each file, by its name."""
    groups = (
        structure.cuts(),
        structure.lies(),
        structure.absurd_fields(),
        structure.no_numbers(),
        structure.odd_structure(),
        structure.midway_changes(),
        disguises.playlists(),
        disguises.references(),
        disguises.bombs(),
        disguises.others(),
        disguises.noise(seed),
    )
    return {name: make for group in groups for name, make in group.items()}


def make_files(folder: Path, *, seed: int = SEED) -> Iterator[Path]:
    """Write them all."""
    for name, make in makers(seed).items():
        path = folder / name
        path.write_bytes(make())
        yield path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    count = sum(1 for _ in make_files(target, seed=int(sys.argv[2]) if sys.argv[2:] else SEED))
    sys.stdout.write(f"{count} files\n")
