"""How every program runs: flags parsed, unusable input reported in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from experiments.support import flags as shared_flags
from normtest_tf import errors
from normtest_tf.system import signals, streams

FLAGS = flags.FLAGS
USAGE_STATUS = 2
HELP = {"-h", "-?", "-help", "--help", "--helpshort", "--helpfull"}
HELP_AS_XML = "--helpxml"


def note(text: str) -> None:
    """Prints a sentence that the user should read."""
    show(f"note: {text}")


def show(text: str) -> None:
    """Prints a line at once, even when output is redirected."""
    print(text, flush=True)


def run(main: Callable[[Sequence[str]], None], *, arguments: bool = False) -> None:
    """Runs a program and exits: flags are parsed, and errors are one line on stderr.

    The status is 0 when done, 1 if a comparison or an export failed, 2 for flags or
    input that can't be used, 130 after Ctrl-C, 141 if nothing reads the output any
    more, and 143 after SIGTERM. `arguments`: flags may be followed by others.
    """
    streams.prepare()
    signals.report_sigterm()
    # TensorFlow logs its start-up on stderr, where errors should stand out.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Otherwise TensorFlow and JAX take most memory of a GPU that may be shared.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    logging.set_verbosity(logging.WARNING)
    _guarded(lambda: _run(main, arguments))


def _run(main: Callable[[Sequence[str]], None], arguments: bool) -> None:
    """Runs a program, or prints its help."""
    given = set(sys.argv[1:])
    if given & HELP:
        _print_help()
    elif HELP_AS_XML in given:
        FLAGS.write_help_in_xml_format(sys.stdout)
    else:
        app.run(main, flags_parser=lambda argv: _parse(argv, arguments))


def _print_help() -> None:
    """Prints what the program does, and its flags."""
    main_module = sys.modules["__main__"]
    print((main_module.__doc__ or "").strip(), end="\n\n")
    print(FLAGS.main_module_help())
    print(FLAGS.module_help(shared_flags))


def _parse(argv: Sequence[str], arguments: bool) -> list[str]:
    """Parses the command line; exits if it can't be parsed."""
    try:
        rest = FLAGS(argv)
    except (flags.Error, ValueError) as error:
        _fail(f"{errors.one_line(error)} (--help lists the flags)")
    if len(rest) > 1 and not arguments:
        where = "" if rest[1] in argv else " in a flagfile"
        _fail(
            f"unexpected argument {rest[1]!r}{where}; flags are written --name=value "
            "(--help lists the flags)"
        )
    shared_flags.choose_backend()
    return rest


def _guarded(program: Callable[[], None]) -> NoReturn:
    """Runs a program and exits; on unusable input, with one line on stderr."""
    try:
        _complete(program)
    except errors.UsageError as error:
        _fail(errors.one_line(error))
    except errors.Interrupted as interruption:
        signals.ignore_sigterm()
        if streams.pipe_was_closed(interruption):
            sys.exit(interruption.status)
        _fail(errors.one_line(interruption), status=interruption.status)
    except KeyboardInterrupt:
        _fail("interrupted", status=130)
    except UnicodeEncodeError as error:  # Some formats can only hold text.
        near = error.object[max(0, error.start - 60) : error.end + 20]
        _fail(
            f"{near!a} is not text in UTF-8; rename the file or folder, or set "
            "LC_ALL=C.UTF-8 if its name looks right"
        )
    sys.exit()


def _complete(program: Callable[[], None]) -> None:
    """Runs a program and flushes stdout: at exit, no failure could be reported."""
    try:
        program()
    except BaseException as error:
        if not isinstance(error, SystemExit) or error.code:
            # Why the program failed counts more than where its output went.
            with contextlib.suppress(errors.UsageError, errors.Interrupted):
                sys.stdout.flush()
            raise
    sys.stdout.flush()


def _fail(message: str, status: int = USAGE_STATUS) -> NoReturn:
    """Prints one line on stderr and exits."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
