"""The installed Python package: every function, with values that are known. Run by tests/package.sh."""
import concurrent.futures
import copy
import csv
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

import basin
import numpy


def picture(side=160):
    """Bright disks on a dark ground, 16-bit, and their labels."""
    y, x = numpy.mgrid[:side, :side]
    image, labels = numpy.full((side, side), 300.0), numpy.zeros((side, side), numpy.int32)
    for k, (cy, cx) in enumerate(((40, 40), (40, 110), (110, 40), (115, 115)), 1):
        r = numpy.hypot(y - cy, x - cx)
        image += 3000 / (1 + numpy.exp((r - 13) / 1.5))
        labels[r < 13] = k
    return image.astype(numpy.uint16), labels


def raises(error, words, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except error as e:
        assert isinstance(e, basin.Error) and words in str(e), e
    else:
        raise AssertionError(f"{words}: no {error.__name__}")


def check_segment(model, image, truth):
    labels, found = model.segment(image, details=True)
    assert labels.dtype == numpy.int32 and labels.shape == image.shape and labels.max() == 4
    assert found.scores is None and found.scale > 0
    assert basin.evaluate(truth, labels)["AP50"] == 1
    same = [image[None], image[..., None], numpy.asfortranarray(image), image.astype(">u2"), image.astype(float),
            image.astype(numpy.int64), numpy.stack([image, image], -1)[..., 0], image[::-1, ::-1].copy()[::-1, ::-1],
            numpy.repeat(image[..., None], 3, 2)]
    for other in same:
        assert (model.segment(other) == labels).all(), (other.dtype, other.shape, other.strides)
    assert (basin.segment(image, "nuclei-fluo", device="cpu") == labels).all()
    assert copy.copy(model) is model and copy.deepcopy([model])[0] is model
    assert model.segment(image, min_size=10**6).max() == 0
    assert (model.segment(image, set={"eps": 2.5}, tiling="fit", threads=1) == model.segment(image, eps=2.5)).all()
    assert (model.segment(image) == labels).all(), "options of one call change the next"
    return labels


def check_threads(model, image):
    """Threads with one model, and with a model each, find what one thread finds."""
    images, options = [image, image[::-1]], {"scale": 1, "threads": 1}
    for models in ((model, model), (model, basin.load_model("nuclei-fluo", device="cpu"))):
        want = [models[k].segment(images[k], **options) for k in range(2)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda k: models[k % 2].segment(images[k % 2], **options), range(8)))
        assert all((labels == want[k % 2]).all() for k, labels in enumerate(found))


def check_errors(model, image):
    raises(basin.FileError, "missing.safetensors", basin.load_model, "missing.safetensors")
    raises(OSError, "nuclei-fluo", basin.load_model, "nuclei-none")
    raises(basin.OptionError, "no such option", model.segment, image, scales=2)
    raises(ValueError, "--scale 0", model.segment, image, scale=0)
    raises(basin.ArgumentError, "channel_axis", model.segment, numpy.zeros((30, 30, 30)))
    raises(basin.ArgumentError, "expected [H, W]", model.segment, numpy.zeros(30))
    raises(basin.ArgumentError, "complex128", model.segment, image + 1j)
    raises(basin.ArgumentError, "NaN", model.segment, numpy.full((32, 32), numpy.nan))
    raises(basin.ArgumentError, "may be 3 planes or 3 channels", model.segment, numpy.zeros((3, 30, 30)))
    labels = numpy.zeros((30, 30), int)
    raises(basin.ArgumentError, "pixels, but its truth", basin.evaluate, labels, labels[:20])
    raises(basin.OptionError, "dialect", basin.evaluate, labels, labels, dialect="none")
    raises(basin.Error, "no such command", basin.run, "sing")


def check_steps(truth):
    vectors = basin.field(truth, kind="centroid", mode="displacement")
    y, x = numpy.nonzero(truth)
    ends = basin.integrate(vectors, numpy.stack([x, y], 1).astype(numpy.float32), step=1, steps=1)
    found = basin.cluster(ends, eps=1, min_samples=5)
    assert ends.dtype == numpy.float32 and (found + 1 == truth[y, x]).all()
    assert basin.integrate(vectors, [[0.0, 0.0]]).tolist() == [[0, 0]]
    assert basin.cluster([[0, 0], [0, 1], [9, 9]], 1, 2).tolist() == [0, 0, -1]
    assert basin.cluster(numpy.zeros((0, 2)), 1, 2).shape == (0,)
    several = basin.evaluate([truth, truth], [truth, 0 * truth], dialect="cellpose")
    assert several["mean"]["AP50"] == 0.5 and several["pooled"]["AP50"] == 0.5 and len(several["images"]) == 2


def check_commands(image, labels, folder):
    numpy.save(folder / "labels.npy", labels)
    basin.run("export", folder / "labels.npy", "--save", "csv", "--out", folder / "out")
    with open(next((folder / "out").glob("*_objects.csv"))) as file:
        rows = list(csv.DictReader(file))
    table = basin.measure(labels)
    assert sorted(rows[0]) == sorted(table)
    for name, column in table.items():
        assert numpy.allclose([float(row[name]) for row in rows], column, rtol=1e-4), name
    assert "intensity_mean" in basin.measure(labels, image) and len(table["area"]) == 4
    command = [pathlib.Path(sys.executable).with_name("basin"), "synth", "--count", "4", "--size", "64", "--out", folder / "data"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    options = {"width": 8, "crop": 32, "save_every": 2, "device": "cpu", "quiet": True}
    best = basin.train(folder / "data", folder / "run", steps=2, **options)
    assert basin.load_model(best).info["config"]["width"] == 8
    raises(basin.Error, "--resume", basin.train, folder / "data", folder / "run", steps=2, **options)
    basin.train(folder / "data", folder / "run", steps=4, resume=True, **options)


def check_napari(model, image, labels, folder):
    """The plugin, where napari is installed, without a window."""
    try:
        import napari.components
        import npe2
    except ImportError as error:
        print(f"package: skipped the napari plugin: {error}")
        return
    npe2.PluginManifest.from_distribution("basin").validate_imports()
    from basin import _napari

    viewer = napari.components.ViewerModel()
    viewer.add_image(numpy.stack([image, image[::-1]]), name="cells", scale=(2, 0.5, 0.5))
    layer = _napari.segment_layer(viewer, model)
    assert layer.name == "cells objects" and (layer.data[0] == labels).all() and tuple(layer.scale) == (2, 0.5, 0.5)
    assert sorted(numpy.unique(layer.data)) == list(range(9)) == [0, *layer.features["index"]]
    viewer.add_image([image, image[::2, ::2]], multiscale=True)
    assert (_napari.segment_layer(viewer, model).data == labels).all(), "not the full resolution"
    viewer.add_image(numpy.stack([image // 16] * 3, -1).astype(numpy.uint8), rgb=True)
    assert _napari.segment_layer(viewer, "nuclei-fluo", min_size=10**6).data.shape == image.shape
    viewer.layers.selection.active = layer
    try:
        _napari.segment_layer(viewer, model)
    except ValueError as error:
        assert "select a layer with an image" in str(error)
    else:
        raise AssertionError("labels are not an image")
    numpy.save(folder / "x.npy", labels)
    basin.run("export", folder / "x.npy", "--save", "labels", "--out", folder / "napari")
    (file,) = (folder / "napari").glob("*_masks.*")
    ((read, _, kind),) = _napari.reader_of(str(file))(str(file))
    assert kind == "labels" and (read == labels).all()
    check_napari_window(image)
    print("package: napari", napari.__version__)


def check_napari_window(image):
    """The widget as napari opens it from its menu, where there is a display (`xvfb-run` provides one)."""
    if not os.environ.get("DISPLAY"):
        print("package: skipped napari's window: no display")
        return
    import napari

    viewer = napari.Viewer(show=False)
    viewer.add_image(image, name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("basin", "Segment")
    widget(model="nuclei-fluo")
    assert viewer.layers[-1].name == "cells objects" and viewer.layers[-1].data.any()
    viewer.close()


def main():
    image, truth = picture()
    assert basin.shipped_models() == ["bacteria", "cells-phase", "nuclei-all", "nuclei-fluo"]
    model = basin.load_model("nuclei-fluo", device="cpu")
    assert model.channels == 1 and model.device.startswith("cpu") and model.info["config"]["method"] == "vf-h1"
    assert ctypes.sizeof(basin._library.Array) == 64, "the layout of basin_array"
    labels = check_segment(model, image, truth)
    check_threads(model, image)
    check_errors(model, image)
    check_steps(truth)
    with tempfile.TemporaryDirectory(prefix="basin-package-") as folder:
        check_commands(image, labels, pathlib.Path(folder))
        check_napari(model, image, labels, pathlib.Path(folder))
    print("package: every check passed")


if __name__ == "__main__":
    main()
