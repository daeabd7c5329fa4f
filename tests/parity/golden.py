"""Digests of PyTorch's numbers in small files, and the program that writes them.

    pip install torch timm torchvision
    python -m tests.parity.golden

Renew them only when `experiments.support.parity` changes what is computed; then
`git diff --stat tests/parity/golden` should list the intended checks and no others.
"""

import pathlib

import numpy as np

from experiments.support.parity import checks

FOLDER = pathlib.Path(__file__).parent / "golden"


def save(name: str, arrays: checks.Arrays) -> None:
    """Writes the digests of a check."""
    digests = checks.digest(arrays)
    np.savez_compressed(
        FOLDER / f"{name}.npz",
        names=np.frombuffer("\n".join(digests).encode(), np.uint8),
        sizes=np.array([len(values) for values in digests.values()]),
        values=np.concatenate(list(digests.values())),
    )


def load(name: str) -> checks.Arrays:
    """Reads the digests of a check."""
    with np.load(FOLDER / f"{name}.npz") as file:
        names = file["names"].tobytes().decode().split("\n")
        parts = np.split(file["values"], np.cumsum(file["sizes"])[:-1])
    return dict(zip(names, parts, strict=True))


def main() -> None:
    """Writes the files of all checks that also run without PyTorch."""
    from experiments.support.parity import theirs

    FOLDER.mkdir(exist_ok=True)
    for name, check in checks.CHECKS.items():
        if check.in_golden:
            save(name, check.run(theirs))
            print(name, flush=True)


if __name__ == "__main__":
    main()
