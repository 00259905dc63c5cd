"""Basin: instance segmentation of microscopy images.

    import basin
    model = basin.load_model("nuclei-fluo")
    labels = model.segment(image)            # int32 [H, W]; 0 is background, every object has its own number

Options are those of the command line: min_size=20 is --min-size 20, tta=True is --tta, and set={"eps": 2} is --set eps=2.
Errors are subclasses of basin.Error.
"""
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import typing
import warnings

import numpy

from . import _library
from ._library import ArgumentError, DeviceError, Error, FileError, OptionError, OutOfMemory

__all__ = ["ArgumentError", "DeviceError", "Details", "Error", "FileError", "Model", "OptionError", "OutOfMemory", "Remark",
           "cluster", "evaluate", "field", "integrate", "load_model", "measure", "run", "segment", "shipped_models", "train"]
__version__ = _library.library.basin_version().decode()

_c = _library.library


class Remark(UserWarning):
    """Something that is not an error but may surprise the user: an image unlike those of the training, for example."""


class Details(typing.NamedTuple):
    """What is known about a segmentation besides its labels."""
    scores: typing.Optional[numpy.ndarray]  # of objects 1, 2, ...; None if the method gives none
    scale: float  # at which the network saw the image
    remarks: typing.List[str]


def shipped_models():
    """The names of the models that load_model finds."""
    return _c.basin_shipped_models().decode().split()


def load_model(model, device="auto", **options):
    """Loads a model: a .safetensors file, or the name of a shipped model.

    device: "auto", "cpu", "cuda" or "cuda:INDEX". Options: precision, threads.
    """
    return Model(model, device, **options)


class Model:
    """A trained model. It may be used by several threads at once."""

    def __init__(self, model, device="auto", **options):
        self._handle = None
        given, count = _library.options_of({"device": device, **options})
        handle = ctypes.c_void_p()
        _library.check(_c.basin_load_model(os.fsencode(model), given, count, ctypes.byref(handle)))
        self._handle = handle
        self.name = os.fspath(model)
        self.channels = _c.basin_model_channels(handle)
        self.device = _c.basin_model_device(handle).decode()

    def __del__(self):
        if getattr(self, "_handle", None):
            _c.basin_free_model(self._handle)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError("a basin.Model cannot be pickled; load it again by its name")

    def __repr__(self):
        return f"<basin.Model {self.name} on {self.device}>"

    @property
    def info(self):
        """The description from the model's file."""
        return json.loads(_c.basin_model_info(self._handle))

    def segment(self, image, channel_axis=None, details=False, **options):
        """Segments an image [H, W], [C, H, W] or [H, W, C] of integers or floats; returns its labels, int32 [H, W].

        channel_axis: where the channels are; by default the first or last axis, whichever has at most 4 elements. It must
        be given if the first axis has another number of elements than the model takes channels, because it may be a stack.
        details: return (labels, Details). Otherwise remarks are warnings of the class Remark.
        Options: those of `basin segment` that decide how an image becomes labels: scale, diameter, norm, tta, tiling, tile,
        overlap, min_size, max_size, exclude_edges, fill_holes, set, eps, threads and so on.
        """
        pixels = _pixels(image, channel_axis)
        shape = numpy.shape(image)
        if channel_axis is None and pixels.ndim == 3 and shape[0] == len(pixels) != shape[-1] and shape[0] != self.channels:
            raise ArgumentError(f"an image of shape {shape}: may be {shape[0]} planes or {shape[0]} channels, and the model "
                                f"takes {self.channels}; segment planes one by one, or give channel_axis=0")
        described = _library.describe(pixels)
        labels = numpy.empty(described.owner.shape[-2:], numpy.int32)
        given, count = _library.options_of(options)
        result = ctypes.c_void_p()
        _library.check(_c.basin_segment(self._handle, ctypes.byref(described), given, count, labels.ctypes.data,
                                        ctypes.byref(result)))
        try:
            objects, scores = _c.basin_result_objects(result), _c.basin_result_scores(result)
            if scores:
                scores = numpy.ctypeslib.as_array(ctypes.cast(scores, ctypes.POINTER(ctypes.c_float)), (objects,)).copy()
            remarks = _c.basin_result_remarks(result).decode().splitlines()
            found = Details(scores, _c.basin_result_scale(result), remarks)
        finally:
            _c.basin_free_result(result)
        if details:
            return labels, found
        for remark in remarks:
            warnings.warn(remark, Remark, stacklevel=2)
        return labels


def segment(image, model, **options):
    """Model.segment() of a model that may be given by its name or file: then it is loaded for this image alone.

    Options may also be those of load_model.
    """
    if not isinstance(model, Model):
        loading = {name: options.pop(name) for name in ("device", "precision") if name in options}
        model = load_model(model, **loading)
    return model.segment(image, **options)


def train(data, out, quiet=False, **options):
    """Trains a model as `basin train` does, and returns the path of the best one in the folder `out`.

    data: a folder of images and label images, or several. Options: those of `basin train`, for example model="es",
    epochs=50, device="cpu", resume=True. The training runs in a separate process, whose lines are printed unless `quiet`;
    an interrupt ends it, and resume=True continues it.
    """
    folders = [data] if isinstance(data, (str, os.PathLike)) else data
    arguments = [text for folder in folders for text in ("--data", os.fspath(folder))] + ["--out", os.fspath(out)]
    for name, value in options.items():
        for text in _library.texts_of(value):
            option = "--" + name.replace("_", "-")
            arguments.append(option if text is None else f"{option}={text}")
    package = str(pathlib.Path(__file__).resolve().parents[1])
    start = f"import runpy, sys; sys.path.append({package!r}); runpy.run_module('basin', run_name='__main__', alter_sys=True)"
    process = subprocess.Popen([sys.executable, "-c", start, "train", *arguments], text=True, bufsize=1,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    line = ""
    try:
        for line in process.stdout:
            if not quiet:
                print(line, end="", flush=True)
    except BaseException:
        process.terminate()
        raise
    finally:
        process.stdout.close()
        code = process.wait()
    if code != 0:
        raise Error(line.strip()[len("basin: "):] if line.startswith("basin: ") else f"the training ended with code {code}")
    best = pathlib.Path(out) / "best.safetensors"
    return best if best.exists() else best.with_name("last.safetensors")


def evaluate(truth, prediction, **options):
    """Scores of a predicted label image [H, W] by the true one, as a dict by name; nan where a score is undefined.

    For lists of label images: {"mean": scores, "pooled": scores, "images": [scores, ...]}. Options: dialect ("stardist",
    "cellpose", "torchvf" or "dsb2018"), threads.
    """
    single = not isinstance(truth, (list, tuple)) and numpy.ndim(truth) == 2
    pairs = [(truth, prediction)] if single else list(zip(truth, prediction))
    if not single and len(truth) != len(prediction):
        raise ArgumentError(f"there are {len(truth)} true label images and {len(prediction)} predictions")
    described = [[_library.describe(numpy.asarray(labels)) for labels in pair] for pair in pairs]
    arrays = [(_library.Array * len(pairs))(*(pair[k] for pair in described)) for k in (0, 1)]
    given, count = _library.options_of(options)
    table = ctypes.c_void_p()
    _library.check(_c.basin_evaluate(*arrays, len(pairs), given, count, ctypes.byref(table)))
    names, rows = _library.take_table(table)
    mean, pooled, *images = [dict(zip(names, row)) for row in rows.tolist()]
    return images[0] if single else {"mean": mean, "pooled": pooled, "images": images}


def measure(labels, image=None, channel_axis=None, **options):
    """Measurements of the objects of a label image [H, W], as a dict of columns: "label", "area", "centroid_y", ...

    Object k is row k; objects are counted in the order of their numbers. With an image also the values of its pixels.
    Options: pixel_size (um), threads.
    """
    described = _library.describe(numpy.asarray(labels))
    pixels = None if image is None else ctypes.byref(_library.describe(_pixels(image, channel_axis)))
    given, count = _library.options_of(options)
    table = ctypes.c_void_p()
    _library.check(_c.basin_measure(ctypes.byref(described), pixels, given, count, ctypes.byref(table)))
    names, rows = _library.take_table(table)
    return dict(zip(names, rows.T))


def field(labels, **options):
    """The vector field of a label image [H, W], a network's training target: float32 [2, H, W], x and y, in pixels.

    Options: kind ("sdf", "affinity", "omnipose" or "centroid"), truncate, kernel, mode, device, threads.
    """
    labels = numpy.asarray(labels)
    described = _library.describe(labels)
    vectors = numpy.empty((2, *labels.shape), numpy.float32)
    given, count = _library.options_of(options)
    _library.check(_c.basin_field(ctypes.byref(described), given, count, vectors.ctypes.data))
    return vectors


def integrate(field, points, **options):
    """Points [N, 2], x and y, moved through a field [2, H, W].

    Computed in the wider element type of the two. Options: solver, step, steps, tolerance, interpolation, suppress, device,
    threads.
    """
    field, points = numpy.asarray(field), numpy.asarray(points)
    dtype = numpy.float64 if numpy.float64 in (field.dtype, points.dtype) else numpy.float32
    described = [_library.describe(array.astype(dtype, copy=False)) for array in (field, points)]
    moved = numpy.empty(points.shape, dtype)
    given, count = _library.options_of(options)
    _library.check(_c.basin_integrate(*(ctypes.byref(d) for d in described), given, count, moved.ctypes.data))
    return moved


def cluster(points, eps, min_samples, **options):
    """DBSCAN of points [N, 2]: labels int32 [N] from 0, -1 for noise, as scikit-learn numbers them.

    Options: snap_noise, device, threads.
    """
    points = numpy.asarray(points)
    if points.dtype.kind in "biu":
        points = points.astype(numpy.float64)
    described = _library.describe(points)
    labels = numpy.empty(len(points), numpy.int32)
    given, count = _library.options_of({"eps": eps, "min_samples": min_samples, **options})
    _library.check(_c.basin_cluster(ctypes.byref(described), given, count, labels.ctypes.data, None))
    return labels


def run(*arguments):
    """Runs a command of the command line in this process: run("synth", "--count", 4, "--out", "SYNTHETIC")."""
    texts = [os.fsencode(argument) if isinstance(argument, os.PathLike) else str(argument).encode() for argument in arguments]
    _library.check(_c.basin_run(len(texts), (ctypes.c_char_p * len(texts))(*texts)))


def _pixels(image, channel_axis):
    """An image as an array [H, W] or [C, H, W] that the library can read."""
    image = numpy.asarray(image)
    if image.ndim == 3:
        if channel_axis is None:
            axes = [axis for axis in (0, -1) if image.shape[axis] <= 4]
            if len(axes) != 1:
                raise ArgumentError(f"an image of shape {image.shape}: channel_axis must say which axis the channels are")
            channel_axis = axes[0]
        image = numpy.moveaxis(image, channel_axis, 0)
    elif image.ndim != 2:
        raise ArgumentError(f"an image of shape {image.shape}: expected [H, W], [C, H, W] or [H, W, C]")
    if image.dtype == bool:
        return image.astype(numpy.uint8)
    if image.dtype.kind in "iu" and image.dtype.itemsize == 8 and image.size > 0 and image.min() >= 0 and image.max() < 2**32:
        return image.astype(numpy.uint32)
    return image
