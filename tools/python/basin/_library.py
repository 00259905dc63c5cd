"""The shared library, and calls of its functions (basin.h) with NumPy arrays."""
import ctypes
import os
import pathlib

import numpy

VERSION = 1  # of the interface
NAME = f"libbasin.so.{VERSION}"
TYPES = {"bool": 0, "uint8": 1, "int8": 2, "uint16": 3, "int16": 4, "uint32": 5, "int32": 6, "uint64": 7, "int64": 8,
         "float32": 9, "float64": 10}
POINTER = ctypes.c_void_p


class Error(Exception):
    """An error that the library reports, with its sentence. The subclasses are those of basin_status."""


class ArgumentError(Error, ValueError):
    """An array of the wrong shape or element type."""


class OptionError(Error, ValueError):
    """An unknown option, or a value that it does not take."""


class FileError(Error, OSError):
    """A model that is missing, damaged or unknown."""


class DeviceError(Error, RuntimeError):
    """There is no such device."""


class OutOfMemory(Error, MemoryError):
    """There is not enough memory."""


ERRORS = {1: ArgumentError, 2: OptionError, 3: FileError, 4: DeviceError, 5: OutOfMemory}


class Array(ctypes.Structure):
    _fields_ = [("data", POINTER), ("type", ctypes.c_int32), ("rank", ctypes.c_int32), ("shape", ctypes.c_int64 * 3),
                ("strides", ctypes.c_int64 * 3)]


class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


def _load():
    """The library of $BASIN_LIBRARY, the one in this package, or an installed one."""
    own = pathlib.Path(__file__).with_name(NAME)
    named = os.environ.get("BASIN_LIBRARY")
    # An absolute path, so that the library still finds its models when the working directory changes.
    path = os.path.abspath(named) if named else str(own.resolve()) if own.exists() else NAME
    # Threads that spin for long while they wait would take the cores that others need. OpenMP reads this when it is loaded.
    decided = any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"))
    if not decided:
        os.environ["GOMP_SPINCOUNT"] = "3000"
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"Basin's library cannot be loaded: {error}; $BASIN_LIBRARY may name it") from error
    finally:
        if not decided:
            del os.environ["GOMP_SPINCOUNT"]


def _declare(library):
    text, count, options = ctypes.c_char_p, ctypes.c_int64, (ctypes.POINTER(Option), ctypes.c_size_t)
    array, handle = ctypes.POINTER(Array), ctypes.POINTER(POINTER)
    functions = {
        "basin_require": (ctypes.c_int, [ctypes.c_int]),
        "basin_version": (text, []),
        "basin_build": (text, []),
        "basin_last_error": (text, []),
        "basin_shipped_models": (text, []),
        "basin_load_model": (ctypes.c_int, [text, *options, handle]),
        "basin_free_model": (None, [POINTER]),
        "basin_model_info": (text, [POINTER]),
        "basin_model_channels": (ctypes.c_int, [POINTER]),
        "basin_model_device": (text, [POINTER]),
        "basin_segment": (ctypes.c_int, [POINTER, array, *options, POINTER, handle]),
        "basin_result_objects": (count, [POINTER]),
        "basin_result_scores": (POINTER, [POINTER]),
        "basin_result_scale": (ctypes.c_double, [POINTER]),
        "basin_result_remarks": (text, [POINTER]),
        "basin_free_result": (None, [POINTER]),
        "basin_evaluate": (ctypes.c_int, [array, array, ctypes.c_size_t, *options, handle]),
        "basin_measure": (ctypes.c_int, [array, array, *options, handle]),
        "basin_field": (ctypes.c_int, [array, *options, POINTER]),
        "basin_table_rows": (count, [POINTER]),
        "basin_table_columns": (count, [POINTER]),
        "basin_table_name": (text, [POINTER, count]),
        "basin_table_values": (POINTER, [POINTER]),
        "basin_free_table": (None, [POINTER]),
        "basin_integrate": (ctypes.c_int, [array, array, *options, POINTER]),
        "basin_cluster": (ctypes.c_int, [array, *options, POINTER, ctypes.POINTER(count)]),
        "basin_run": (ctypes.c_int, [ctypes.c_int, ctypes.POINTER(text)]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def check(status):
    """Raises the error of a status."""
    if status != 0:
        raise ERRORS.get(status, Error)(library.basin_last_error().decode())


library = _declare(_load())
if library.basin_require(VERSION) != 0:
    raise ImportError(library.basin_last_error().decode())


def describe(array):
    """A description of a NumPy array, which must outlive it. Copies only what the library cannot read in place."""
    if array.dtype == numpy.float16:
        array = array.astype(numpy.float32)
    if array.dtype.kind not in "biuf" or array.dtype.name not in TYPES:
        raise ArgumentError(f"arrays of {array.dtype} are not supported")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not 1 <= array.ndim <= 3:
        raise ArgumentError(f"an array of shape {array.shape}: expected 1 to 3 axes")
    if array.size > 0 and not any(array.strides):
        array = numpy.array(array)  # strides that are all 0 mean a dense array
    described = Array(array.ctypes.data, TYPES[array.dtype.name], array.ndim)
    described.shape[:array.ndim] = array.shape
    described.strides[:array.ndim] = array.strides
    described.owner = array
    return described


def texts_of(value):
    """The texts on the command line of an option's value: none if it is not to be given."""
    if value is None or value is False:
        return []
    if value is True:
        return [None]
    if isinstance(value, dict):
        return [f"{key}={text}" for key, item in value.items() for text in texts_of(item)]
    if isinstance(value, (list, tuple)):
        return [",".join(str(item) for item in value)]
    return [str(value)]


def options_of(named):
    """Options as the library takes them, in which min_size=20 is --min-size 20."""
    pairs = [(name.replace("_", "-"), text) for name, value in named.items() for text in texts_of(value)]
    options = (Option * len(pairs))()
    for option, (name, text) in zip(options, pairs):
        option.name, option.value = name.encode(), None if text is None else text.encode()
    return options, len(pairs)


def take_table(handle):
    """The names of the columns of a table, and its values [rows, columns]; frees it."""
    try:
        rows, columns = library.basin_table_rows(handle), library.basin_table_columns(handle)
        names = [library.basin_table_name(handle, k).decode() for k in range(columns)]
        size = rows * columns
        values = numpy.empty((rows, columns))
        if size > 0:
            ctypes.memmove(values.ctypes.data, library.basin_table_values(handle), size * 8)
        return names, values
    finally:
        library.basin_free_table(handle)
