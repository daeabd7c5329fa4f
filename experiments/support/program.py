"""How every program runs: flags parsed, unusable input reported in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from experiments.support import flags as shared_flags
from normtest_tf import errors

FLAGS = flags.FLAGS
USAGE_STATUS = 2
PIPE_STATUS = 141  # As shells report SIGPIPE.


def note(text: str) -> None:
    """Prints a sentence that the user should read."""
    show(f"note: {text}")


def show(text: str) -> None:
    """Prints a line at once, even when output is redirected."""
    print(text, flush=True)


def run(main: Callable[[Sequence[str]], None], *, arguments: bool = False) -> None:
    """Runs a program: parses its flags and turns errors into one line.

    Args:
        main: The program, called with the rest of the command line.
        arguments: Whether the command line may have more than flags.

    Raises:
        SystemExit: Always. Its status is 0 when done, 1 if a comparison or an
            export failed, 2 for flags or input that can't be used, 130 after Ctrl-C,
            141 if nothing reads the output any more, 143 after SIGTERM.
    """
    # TensorFlow logs its start-up on stderr, where errors should stand out.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Otherwise TensorFlow takes all memory of a GPU that may be shared.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    logging.set_verbosity(logging.WARNING)
    if {"--help", "--helpshort", "-help", "--helpfull"} & set(sys.argv[1:]):
        _guarded(_print_help, sys.argv)
        sys.exit()
    app.run(
        lambda argv: _guarded(main, argv),
        flags_parser=lambda argv: _parse(argv, arguments),
    )


def _print_help(argv: Sequence[str]) -> None:
    """Prints what the program does, and its flags."""
    del argv
    main_module = sys.modules["__main__"]
    print((main_module.__doc__ or "").strip(), end="\n\n")
    print(FLAGS.main_module_help())
    print(FLAGS.module_help(shared_flags))


def _parse(argv: Sequence[str], arguments: bool) -> list[str]:
    """Parses the command line; exits if it can't be parsed."""
    try:
        rest = FLAGS(argv)
        if len(rest) > 1 and not arguments:
            raise errors.UsageError(
                f"unexpected argument {rest[1]!r}; flags are written --name=value"
            )
        return rest
    except (flags.Error, errors.UsageError) as error:
        _fail(f"{errors.one_line(error)} (--help lists the flags)")


def _guarded(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> None:
    """Runs `main`; on unusable input, exits with one line on stderr."""
    try:
        main(argv)
        sys.stdout.flush()
    except errors.UsageError as error:
        _fail(errors.one_line(error))
    except errors.Interrupted as interruption:
        _fail(errors.one_line(interruption), status=interruption.status)
    except KeyboardInterrupt:
        _fail("interrupted", status=130)
    except BrokenPipeError:
        # The reader of the output, `head` for example, has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_STATUS)


def _fail(message: str, status: int = USAGE_STATUS) -> NoReturn:
    """Prints one line on stderr and exits."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
