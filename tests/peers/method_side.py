"""Functions shared by the comparisons of methods: requests to the program basin_training_step and its answers."""
import importlib
import json
import os
import pathlib
import subprocess
import sys
import types

import common

numpy = common.modules("numpy")


def program():
    """The program of the target basin_training_step: $BASIN_TRAINING_STEP, by default that of the cpu preset."""
    path = pathlib.Path(os.environ.get("BASIN_TRAINING_STEP", common.ROOT / "build/cpu/basin_training_step"))
    if not path.is_file():
        common.skip(f"no program at {path}: build the target basin_training_step")
    return path


def checkout(variable, what, file):
    """The folder named by an environment variable; skips the comparison if it does not contain the file."""
    root = pathlib.Path(os.environ.get(variable, ""))
    if not os.environ.get(variable) or not (root / file).is_file():
        common.skip(f"set {variable} to {what}")
    return root.resolve()


def placeholders(**modules):
    """Empty modules with the given attributes, in place of modules that a peer imports but these scripts never use, or
    that newer releases of a library no longer have. Installed modules are not replaced."""
    for name, attributes in modules.items():
        name = name.replace("__", ".")
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
            for attribute, value in attributes.items():
                setattr(sys.modules[name], attribute, value)
            if "." in name:
                parent, child = name.rsplit(".", 1)
                setattr(importlib.import_module(parent), child, sys.modules[name])


class Folder:
    """A temporary folder with the program's request and answers."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def write(self, **arrays):
        """Raw float32, or int32 for whole numbers, row-major."""
        for name, array in arrays.items():
            array = numpy.ascontiguousarray(array)
            kind = numpy.int32 if array.dtype.kind in "iu" else numpy.float32
            array.astype(kind).tofile(self.path / name)

    def read(self, name, shape=-1, kind=numpy.float32):
        return numpy.fromfile(self.path / name, kind).reshape(shape)

    def ask(self, task, method, settings=(), environment=None, **request):
        request = {"task": task, "method": method, "settings": list(settings), **request}
        (self.path / "request.json").write_text(json.dumps(request))
        done = subprocess.run([program(), self.path], env={**os.environ, **(environment or {})}, text=True,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"failed: {task} of {method}: {done.stderr.strip()}")

    def slices(self, table, values):
        """{name: values} of one of Basin's flat buffers."""
        flat = self.read(values)
        rows = [line.split() for line in (self.path / table).read_text().splitlines()]
        return {name: flat[int(first):int(first) + int(count)] for name, first, count in rows}

    def model(self, method, settings, tensors, name="peer.safetensors"):
        """A model file of this method with these tensors, which must include all tensors of the method."""
        from safetensors import safe_open
        from safetensors.numpy import save_file
        self.ask("model", method, settings)
        with safe_open(self.path / "model.safetensors", "numpy") as own:
            # Other tensors have another checksum; without one a file is not checked.
            metadata = {key: text for key, text in own.metadata().items() if not key.startswith("checksum")}
            keys = list(own.keys())
            shapes = {key: tuple(own.get_slice(key).get_shape()) for key in keys}
        missing = [key for key in keys if key not in tensors or tuple(tensors[key].shape) != shapes[key]]
        if missing:
            sys.exit(f"failed: the peer has no tensor of the shape of Basin's {missing[0]} {shapes[missing[0]]}")
        file = self.path / name
        save_file({key: numpy.ascontiguousarray(tensors[key], numpy.float32) for key in keys}, file, metadata=metadata)
        return file

    def segment(self, model, pixels, *maps, options=()):
        """The maps of an 8-bit picture that `segment` saves, each [C,H,W]."""
        picture, out = self.path / "picture.png", self.path / "out"
        common.write_picture(picture, pixels)
        common.basin("segment", picture, "--model", model, "--out", out, "--save", ",".join(maps), "--norm", "divide",
                     "--device", "cpu", "--tile", 512, "--tiling", "exact", *options)
        return [numpy.load(out / f"picture_{name}.npy") for name in maps]


def judge(report, what, ours, theirs, tolerance):
    """Checks that the largest difference, relative to the peer's largest value, is within the tolerance."""
    ours, theirs = numpy.asarray(ours, float), numpy.asarray(theirs, float)
    if ours.shape != theirs.shape:
        report.check(what, False, f"shape {ours.shape} against {theirs.shape}")
        return
    worst = numpy.abs(ours - theirs).max() / max(numpy.abs(theirs).max(), 1e-30)
    report.check(what, bool(worst <= tolerance), f"largest difference {worst:.1e} of the largest value, limit {tolerance:.0e}")


def different_pixels(ours, theirs):
    """The number of pixels in different objects, whatever the ids: each of our objects is matched with the peer's
    object with which it shares most pixels. Each peer object is matched at most once, the largest overlap first."""
    width = int(theirs.max()) + 1
    pairs, counts = numpy.unique(ours.astype(numpy.int64).ravel() * width + theirs.ravel(), return_counts=True)
    named, taken, equal = {0: 0}, {0}, 0
    for k in numpy.argsort(-counts, kind="stable"):
        a, b = divmod(int(pairs[k]), width)
        if a not in named and b not in taken:
            named[a] = b
            taken.add(b)
        equal += int(counts[k]) if named.get(a) == b else 0
    return ours.size - equal
