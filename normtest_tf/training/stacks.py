"""Which batches of an epoch are stacked, to be trained on in one call of the device."""

from __future__ import annotations


def shapes(
    examples: int, batch_size: int, steps_per_execution: int = 1
) -> list[tuple[int, int]]:
    """Returns the stacks of an epoch, in order.

    Args:
        examples: The number of images in an epoch.
        batch_size: Images in a batch; the last one may be shorter.
        steps_per_execution: Batches in a stack. What is left of the full batches makes
            a shorter stack, and a short batch one of its own.

    Returns:
        The number of batches and the number of images in each of them, by stack.

    Example:
    ```python
    shapes(22, batch_size=4, steps_per_execution=2)  # [(2, 4), (2, 4), (1, 4), (1, 2)]
    ```
    """
    full, short = divmod(examples, batch_size)
    whole, left = divmod(full, steps_per_execution)
    found = [(steps_per_execution, batch_size)] * whole
    if left:
        found.append((left, batch_size))
    if short:
        found.append((1, short))
    return found
