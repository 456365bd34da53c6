"""The environments in which other libraries are run: made from the package index, one for each.

    python -m benchmarks.peers            make all that are missing
    python -m benchmarks.peers ctgan sdv  make these

They lie in ``.peers/`` beside this folder and are never imported from: a peer runs in a process of
its own, see ``models.py``. Versions are those of the comparison in ``README.md``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / ".peers"
TORCH = "torch==2.13.0"
REQUIREMENTS = {
    "ctgan": [TORCH, "ctgan==0.12.1", "pyarrow"],
    "sdv": [TORCH, "sdv==2.0.0", "pyarrow"],
    "mostlyai-engine": [TORCH, "mostlyai-engine==2.7.3", "pyarrow"],
    "arfpy": ["arfpy==0.1.1", "numpy<2.4", "pandas<3", "pyarrow"],  # np.in1d; columns by position
    "imbalanced-learn": ["imbalanced-learn", "pandas", "pyarrow"],
}


def interpreter(package: str) -> str:
    """Name the Python that has `package`; this one for synthgan itself."""
    if package == "synthgan":
        return sys.executable
    python = FOLDER / package / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{package} has no environment. Make it: python -m benchmarks.peers {package}")
    return str(python)


def main(names: list[str]) -> None:
    for name in names or list(REQUIREMENTS):
        place = FOLDER / name
        if not (place / "bin" / "python").exists():
            print(f"Making {place} ...", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        command = [str(place / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS[name]]
        subprocess.run(command, check=True)
        # Some bring a torchvision for another build of torch, whose import fails; none needs it.
        subprocess.run([str(place / "bin" / "pip"), "uninstall", "--quiet", "-y", "torchvision"], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
