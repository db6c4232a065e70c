"""The server inside the wheel: where its parts are, and a backend directory made of them."""

import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ServerMissing

BACKENDS = Path(__file__).resolve().parent / "backends"
SHARED = BACKENDS / "waveform_backend.py"
PYTHON_LIBRARY = "libpython3.11.so.1.0"
_STUB = "triton_python_backend_stub"
_CACHES = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """The parts of the unpacked wheel this package uses."""

    server: Path
    libraries: Path
    python_backend: Path
    stub: Path

    @classmethod
    def find(cls) -> "Wheel":
        """Raises ServerMissing outside the environment that holds the wheel."""
        packages = Path(sysconfig.get_paths()["platlib"])
        server = packages / "pytriton" / "tritonserver"
        wheel = cls(
            server=server / "bin" / "tritonserver",
            libraries=packages / "nvidia_pytriton.libs",
            python_backend=server / "backends" / "python",
            stub=server / "python_backend_stubs" / "3.11" / _STUB,
        )
        for part in (wheel.server, wheel.python_backend, wheel.stub):
            if not part.exists():
                raise ServerMissing(f"{part} is missing: run this in .envs/triton (make services)")
        return wheel

    def library_path(self) -> str:
        """For LD_LIBRARY_PATH: the wheel's libraries, and the libpython of this interpreter.

        The stub embeds Python; with another build's libpython it would mix two standard libraries.
        """
        own = Path(sys.base_prefix) / "lib"
        folders = [self.libraries, *([own] if (own / PYTHON_LIBRARY).exists() else [])]
        return ":".join(map(str, folders))


def assemble_backends(wheel: Wheel, *, directory: Path) -> Path:
    """Fills `directory` with the python backend and the python-based backends of this package.

    Copies: the server refuses libraries that a link leads out of its backend directory.
    """
    if directory.exists():
        shutil.rmtree(directory)
    python = directory / "python"
    python.mkdir(parents=True)
    for part in (*wheel.python_backend.iterdir(), wheel.stub):
        shutil.copy(part, python)
    for model in BACKENDS.glob("*/model.py"):
        backend = shutil.copytree(model.parent, directory / model.parent.name, ignore=_CACHES)
        shutil.copy(SHARED, backend)
    return directory
