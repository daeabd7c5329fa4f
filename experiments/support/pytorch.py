"""Imports timm and torchvision, which the comparisons with PyTorch need."""

from __future__ import annotations

import importlib
import sys
import types

from normtest_tf import errors

# Declares torchvision's compiled operators, and fails where those don't load
# because PyTorch was built for another device. Nothing here uses them.
OPERATORS = "torchvision._meta_registrations"


def import_module(name: str) -> types.ModuleType:
    """Imports `timm`, `torchvision` or a module of theirs.

    Args:
        name: The full name of the module.

    Returns:
        The module.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        import torch  # noqa: F401  (seen to fail here, if it does)
        import torchvision  # noqa: F401  (the same)
    except RuntimeError:
        for module in [key for key in sys.modules if key.startswith("torchvision")]:
            del sys.modules[module]
        sys.modules[OPERATORS] = types.ModuleType(OPERATORS)
    except ImportError as error:
        raise _not_installed(error) from error
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _not_installed(error) from error


def _not_installed(error: ImportError) -> errors.UsageError:
    """Returns the error for a missing package."""
    return errors.UsageError(
        f"{error}; this needs PyTorch: pip install torch timm torchvision"
    )
