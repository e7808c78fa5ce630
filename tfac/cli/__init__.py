"""The command-line programs; each is also ``python -m tfac.cli.NAME``."""

import dataclasses
import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging

from tfac.errors import ConfigError, TfacError
from tfac.notices import without_notices
from tfac.training.config import field_type

flags.disclaim_key_flags()  # `define_flag` defines those of its callers


def run_program(main: Callable[..., int | None]) -> None:
    """Parses flags and runs `main`; a `TfacError` becomes one clear line and exit status 1.

    So does a disk or a memory that is full, and a file or folder that may not be touched.

    A `main` without parameters takes flags alone; another gets the program's name and what stands
    behind the flags. An interrupt (Ctrl-C) ends with status 130 and no traceback.
    """
    flags_alone = not inspect.signature(main).parameters

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            if not flags.FLAGS["verbosity"].present:  # a flag of absl's own
                logging.set_verbosity(logging.ERROR)
            if flags_alone and len(argv) > 1:
                raise ConfigError(f"expected flags alone. Received: {' '.join(argv[1:])}")
            status = main() if flags_alone else main(argv)
            sys.stdout.flush()
            return status
        except TfacError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except BrokenPipeError:  # its reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        except Exception as error:
            reason = _lacking(error)
            if reason is None:
                raise
            print(f"error: {reason}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    _show_in_help(main.__module__)
    app.run(guarded, flags_parser=_parse_flags)


def define_flag(
    field: dataclasses.Field, default: Any, help: str, **limits: float
) -> flags.FlagHolder:
    """Defines the flag of a dataclass's field, with its name and type.

    Args:
        field: with ``choices`` in its metadata where it has some.
        default: the flag's; None where not giving it means something.
        help: what it is.
        **limits: ``lower_bound`` and ``upper_bound`` that absl is to check.
    """
    if field.metadata.get("choices"):
        return flags.DEFINE_enum(field.name, default, field.metadata["choices"], help)
    define = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float}
    define = define.get(field_type(field)[0], flags.DEFINE_string)
    return define(field.name, default, help, **limits)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its start-up notices.

    It takes seconds, so a program calls this once its flags are known to be good.
    """
    with without_notices():
        import tensorflow as tf

        tf.config.list_physical_devices()


def _lacking(error: Exception) -> str | None:
    """Says what the machine lacks where that is what an error means; None otherwise.

    TensorFlow has errors of its own for the system's, with the system's words in them.
    """
    text = str(error)
    of_tensorflow = type(error).__module__.startswith("tensorflow.")
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
        words = os.strerror(code)
        if isinstance(error, OSError) and error.errno == code:
            return (
                f"{words}: {error.filename or 'a file'}. Outputs that were whole are as they were"
            )
        if of_tensorflow and words in text:
            return f"{text.splitlines()[0]}. Outputs that were whole are as they were"
    exhausted = of_tensorflow and type(error).__name__ == "ResourceExhaustedError"
    if isinstance(error, MemoryError) or exhausted:
        return (
            "the memory does not suffice. Give a smaller batch (--batch_size), smaller pictures "
            f"(--image_size) or a smaller network. {text.splitlines()[0][:200] if text else ''}"
        ).rstrip()
    return None


def _show_in_help(module: str) -> None:
    """Lets --help show the module's docstring and flags when an installed script runs it.

    absl shows no default where it is None or empty, so that is said here.
    """
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
        if not flag.default_as_str and "default" not in flag.help:
            required = any("other than None" in each.message for each in flag.validators)
            flag.help += " (required)" if required else " (default: not given)"
    sys.modules["__main__"].__doc__ = sys.modules[module].__doc__


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        program = os.path.basename(argv[0])
        print(f"error: {error}\nSee {program} --help", file=sys.stderr)
        sys.exit(2)
