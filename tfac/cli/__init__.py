"""The command-line programs; each is also ``python -m tfac.cli.NAME``."""

import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from tfac.errors import TfacError
from tfac.notices import without_notices


def run_program(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses flags and runs `main`; a `TfacError` becomes one clear line and exit status 1.

    An interrupt (Ctrl-C) ends with status 130 and no traceback.
    """

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            if not flags.FLAGS["verbosity"].present:  # a flag of absl's own
                logging.set_verbosity(logging.ERROR)
            return main(argv)
        except TfacError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    _show_in_help(main.__module__)
    app.run(guarded, flags_parser=_parse_flags)


def _show_in_help(module: str) -> None:
    """Lets --help show the module's docstring and flags when an installed script runs it."""
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules["__main__"].__doc__ = sys.modules[module].__doc__


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its start-up notices.

    It takes seconds, so a program calls this once its flags are known to be good.
    """
    with without_notices():
        import tensorflow as tf

        tf.config.list_physical_devices()


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        program = os.path.basename(argv[0])
        print(f"error: {error}\nSee {program} --help", file=sys.stderr)
        sys.exit(2)
