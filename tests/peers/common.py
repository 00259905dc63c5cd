"""Functions shared by the comparisons: finding Basin and torchvf, reporting results and skipping."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77


def skip(reason):
    """Ends the comparison with the exit status that run.py counts as skipped."""
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def basin_path():
    """The binary to test: $BASIN, by default that of the cpu preset. Skips the comparison if there is none."""
    path = pathlib.Path(os.environ.get("BASIN", ROOT / "build/cpu/basin"))
    if not path.is_file():
        skip(f"no Basin binary at {path}; build it or set BASIN")
    return path


def basin(*arguments, threads=None):
    """Runs a Basin command and returns its output. If the command fails, the comparison ends with its message."""
    command = [str(basin_path()), *map(str, arguments)]
    if threads:
        command += ["--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def modules(*names):
    """Imports the named modules in order; skips with the name of the first one that is not installed."""
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ImportError as error:
            skip(f"Python module {name} cannot be imported ({error})")
    return found if len(found) > 1 else found[0]


def randomise_batch_norm(network):
    """Random weights, biases and running statistics for all batch norms of a PyTorch network, so that a
    skipped one is noticed."""
    torch = modules("torch")
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.05, 0.5)


def use_torchvf():
    """Makes `import torchvf` work from the checkout that $TORCHVF names.

    torchvf imports a few modules at its top that only its data loaders and plots need, and its target and clustering
    code needs edt and scikit-learn. Whatever is missing is replaced by an empty module: using it then fails loudly.
    """
    root = os.environ.get("TORCHVF", "")
    if not (pathlib.Path(root) / "torchvf" / "models").is_dir():
        skip("set TORCHVF to a checkout of torchvf (ryanirl/torchvf)")
    sys.path.insert(0, root)
    placeholders = {"torchvision": {}, "yaml": {}, "cv2": {}, "edt": {}, "sklearn": {
        "sklearn.cluster": "DBSCAN", "sklearn.neighbors": "NearestNeighbors"}}
    for package, parts in placeholders.items():
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            sys.modules[package] = types.ModuleType(package)
            for name, attribute in parts.items():
                sys.modules[name] = types.ModuleType(name)
                setattr(sys.modules[name], attribute, None)


def scratch():
    """A temporary folder, removed at the end of a `with`."""
    return tempfile.TemporaryDirectory(prefix="basin-peers-")


class Report:
    """Collects the checks of one comparison, prints each, and ends the script with their result."""

    def __init__(self):
        self.failed = 0

    def check(self, what, good, detail=""):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}{': ' + detail if detail else ''}")

    def close(self, what, ours, theirs, tolerance):
        """|ours - theirs| <= tolerance * max(1, largest |theirs|), and the same shape."""
        import numpy
        if ours.shape != theirs.shape:
            self.check(what, False, f"shape {ours.shape} against {theirs.shape}")
            return
        scale = max(1.0, float(numpy.abs(theirs).max(initial=0)))
        worst = float(numpy.abs(ours.astype(float) - theirs.astype(float)).max(initial=0)) / scale
        self.check(what, worst <= tolerance, f"largest difference {worst:.2e} of {tolerance:.0e}")

    def equal(self, what, ours, theirs):
        """Equal shapes and values."""
        if ours.shape != theirs.shape:
            self.check(what, False, f"shape {ours.shape} against {theirs.shape}")
            return
        different = int((ours != theirs).sum())
        self.check(what, different == 0, f"{different} of {theirs.size} differ")

    def finish(self):
        sys.exit(1 if self.failed else 0)


def sample_labels(height, width, count, seed):
    """Labels [H,W] int32, 0 and 1..n: ellipses that touch, overlap and are cut by the border, a hole, and a single
    pixel."""
    import numpy
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[:height, :width]
    labels = numpy.zeros((height, width), numpy.int32)
    for k in range(1, count + 1):
        centre_y, centre_x = random.uniform(0, height), random.uniform(0, width)
        a, b, turn = random.uniform(3, 22), random.uniform(3, 14), random.uniform(0, numpy.pi)
        u = (x - centre_x) * numpy.cos(turn) + (y - centre_y) * numpy.sin(turn)
        v = (y - centre_y) * numpy.cos(turn) - (x - centre_x) * numpy.sin(turn)
        inside = (u / a) ** 2 + (v / b) ** 2 <= 1
        if k == 1:
            inside &= (u / a) ** 2 + (v / b) ** 2 > 0.1
        labels[inside] = k
    labels[height // 2, width // 2] = count + 1
    labels[0, 0] = 0
    present, labels = numpy.unique(labels, return_inverse=True)
    return labels.reshape(height, width).astype(numpy.int32)


def write_picture(path, array):
    """A PNG: 8 or 16 bit grey, or 8-bit RGB [H,W,3]."""
    from PIL import Image
    Image.fromarray(array).save(path)


def load_json(path):
    return json.loads(pathlib.Path(path).read_text())
