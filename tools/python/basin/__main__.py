"""The command line: `python -m basin`, and `basin` where the package is installed."""
import ctypes
import os
import signal
import sys


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a command that computes does not come back to Python
    from . import _library
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    if _library.library.basin_run(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments)) != 0:
        sys.stdout.flush()
        print("basin:", _library.library.basin_last_error().decode(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
