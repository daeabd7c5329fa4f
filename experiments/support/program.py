"""How every program runs: flags parsed, unusable input reported in one line."""

from __future__ import annotations

import contextlib
import errno
import io
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from experiments.support import flags as shared_flags
from normtest_tf import errors
from normtest_tf.system import files

FLAGS = flags.FLAGS
USAGE_STATUS = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
    _prepare_streams()
    _catch_signals()
    # TensorFlow logs its start-up on stderr, where errors should stand out.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Keras imports matplotlib, and a notebook's backend may not be importable here.
    os.environ["MPLBACKEND"] = "Agg"
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


def _prepare_streams() -> None:
    """Escapes what the encoding of stdout and stderr lacks; opens what is closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # The next file would take its place, and a library's log.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _guarded(program: Callable[[], None]) -> NoReturn:
    """Runs a program and exits; on unusable input, with one line on stderr."""
    try:
        try:
            program()
        except SystemExit as end:
            if end.code:
                raise
        if sys.stdout is not None:
            sys.stdout.flush()  # At exit, no failure could be reported.
    except errors.UsageError as error:
        _fail(errors.one_line(error))
    except BrokenPipeError:  # As after `| head`.
        os._exit(128 + signal.SIGPIPE)
    except OSError as error:
        if path := error.filename2 or error.filename:
            _fail(f"can't use {path}: {errors.reason(error)}; choose another")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(f"can't write a file or stdout: {errors.reason(error)}; make room")
    except UnicodeEncodeError as error:  # Some formats can only hold text.
        near = error.object[max(0, error.start - 60) : error.end + 20]
        _fail(
            f"{near!a} is not text in UTF-8; rename the file or folder, or set "
            "LC_ALL=C.UTF-8 if its name looks right"
        )
    except Exception as error:
        if not errors.is_out_of_memory(error):
            raise
        _fail(
            f"memory ran out: {errors.one_line(error)[:200]}; free some, or pass a "
            "smaller --batch_size, --image_size or --memory_budget"
        )
    finally:
        _flush_or_drop()
    sys.exit()


def _flush_or_drop() -> None:
    """Flushes stdout, or drops what Python would try to write again at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> NoReturn:
    """Prints one line on stderr and exits."""
    with contextlib.suppress(OSError):
        print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(USAGE_STATUS)


def _catch_signals() -> None:
    """Makes Ctrl-C and SIGTERM end the program at once, with a line on how to go on.

    Raising `KeyboardInterrupt` would not do: JAX's callback of the garbage collector,
    among others, swallows it. Nothing is lost, as after SIGKILL.
    """
    stderr = os.dup(2)  # It may be redirected when the signal arrives.

    def leave(number: int, frame: object) -> NoReturn:
        for each in _SIGNALS:  # They come in pairs, to a process and to its group.
            signal.signal(each, signal.SIG_IGN)
        again = ""
        if "checkpoint_every" in FLAGS or "seeds" in FLAGS:  # As quickstart's.
            again = "; the same command resumes what is recorded"
            if "overwrite" in FLAGS and FLAGS.is_parsed() and FLAGS.overwrite:
                again = again.replace(" resumes", " without --overwrite resumes")
        with contextlib.suppress(Exception):
            for worker in multiprocessing.active_children():
                worker.kill()
                worker.join()
            for folder in list(files.unfinished):
                if not (folder / "old").exists():  # Else the only copy may be there.
                    shutil.rmtree(folder, ignore_errors=True)
            _flush_or_drop()
            # A progress bar may have left its line open.
            start = "\n" if os.isatty(stderr) else ""
            line = f"{start}stopped by {signal.Signals(number).name}{again}\n"
            os.write(stderr, line.encode())
        os._exit(128 + number)

    for each in _SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, leave)
