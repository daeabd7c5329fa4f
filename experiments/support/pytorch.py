"""Imports PyTorch, timm and torchvision, which only the comparisons with it need."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

from normtest_tf import errors

PACKAGES = ("torch", "timm", "torchvision")
# Declares torchvision's compiled operators. Importing it fails if they can't be loaded
# because PyTorch was built for another device. Nothing here uses them.
OPERATORS = "torchvision._meta_registrations"


def check_installed() -> None:
    """Checks that all packages are installed, without the slow imports."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise _not_installed(f"No module named {name!r}")


def import_module(name: str) -> types.ModuleType:
    """Imports `timm`, `torchvision` or one of their modules."""
    try:
        import torch  # noqa: F401  (fails here if missing)
        import torchvision  # noqa: F401  (likewise)
    except RuntimeError:
        for module in [key for key in sys.modules if key.startswith("torchvision")]:
            del sys.modules[module]
        sys.modules[OPERATORS] = types.ModuleType(OPERATORS)
    except ImportError as error:
        raise _not_installed(str(error)) from error
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _not_installed(str(error)) from error


def _not_installed(reason: str) -> errors.UsageError:
    return errors.UsageError(
        f"{reason}; this needs PyTorch: pip install {' '.join(PACKAGES)}"
    )
