"""Scores: `basin evaluate` against StarDist's matching, Cellpose's average_precision and torchvf's map_iou.

The peers' score modules are loaded alone, without the networks of their packages.
"""
import importlib.util
import pathlib
import sys
import types

import common

numpy = common.modules("numpy")
common.modules("scipy", "PIL.Image")
THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def load_alone(package, module, stand_ins):
    """One module of an installed package. `stand_ins`: modules that it imports and scoring never uses, with the names
    that it takes from them; they are replaced by empty ones, so that they need not be installed."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        common.skip(f"Python package {package} is not installed")
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = list(spec.submodule_search_locations)
    for path, names in stand_ins.items():
        parent, _, child = path.partition(".")
        sys.modules[path] = types.ModuleType(path)
        setattr(sys.modules.setdefault(parent, types.ModuleType(parent)), child, sys.modules[path])
        for name in names:
            setattr(sys.modules[path], name, None)
    try:
        return importlib.import_module(f"{package}.{module}")
    except ImportError as error:
        common.skip(f"{package}.{module} cannot be imported ({error})")


def compact(labels):
    return numpy.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(numpy.int32)


def spoil(labels, seed):
    """A prediction: the truth shifted, with objects lost, cut in two and merged."""
    random = numpy.random.default_rng(seed)
    found = numpy.roll(labels, random.integers(-2, 3, 2), axis=(0, 1))
    for k in range(1, labels.max() + 1):
        fate = random.random()
        if fate < 0.1:
            found[found == k] = 0
        elif fate < 0.2:
            x = numpy.argwhere(found == k)[:, 1] if (found == k).any() else numpy.zeros(1)
            found[(found == k) & (numpy.arange(labels.shape[1]) > numpy.median(x))] = labels.max() + k
        elif fate < 0.3:
            found[found == k] = max(1, k - 1)
    found[0, 0] = 0
    return compact(found)


def scores(folder, dialect):
    common.basin("evaluate", "--pred", folder / "found", "--truth", folder / "truth", "--dialect", dialect, "--json",
                 folder / "scores.json")
    return common.load_json(folder / "scores.json")


def main():
    common.basin_path()
    report = common.Report()
    matching = load_alone("stardist", "matching", {"skimage.measure": ["regionprops"], "csbdeep.utils": ["_raise"]})
    cellpose = load_alone("cellpose", "metrics", {"cellpose.utils": []})
    common.use_torchvf()
    from torchvf.metrics import map_iou

    truths = [common.sample_labels(120, 150, 30, seed) for seed in range(6)]
    founds = [spoil(labels, seed) for seed, labels in enumerate(truths)]
    empty = numpy.zeros((120, 150), numpy.int32)
    with common.scratch() as name:
        folder = pathlib.Path(name)

        def write(all_truths, all_founds):
            for kind, images in (("truth", all_truths), ("found", all_founds)):
                (folder / kind).mkdir(exist_ok=True)
                for k, labels in enumerate(images):
                    common.write_picture(folder / kind / f"{k}_masks.png", labels.astype(numpy.uint16))

        def compare(title, ours, theirs):
            worst = max(abs(a - b) for a, b in zip(ours, theirs))
            report.check(title, worst <= 1e-6, f"largest difference {worst:.1e}")

        write(truths, founds)
        ours = scores(folder, "torchvf")["metrics"]
        compare("torchvf, pooled", [ours[key]["pooled"] for key in ("AP50", "AP75", "AP90")], map_iou(founds, truths))

        truths, founds = truths + [truths[0], empty], founds + [empty, founds[0]]
        write(truths, founds)
        keys = [f"AP{round(100 * t)}" for t in THRESHOLDS]
        ours = scores(folder, "cellpose")["metrics"]
        theirs = cellpose.average_precision(truths, founds, threshold=THRESHOLDS)[0].mean(axis=0)
        compare("cellpose, mean over images", [ours[key]["mean"] for key in keys], theirs)

        truths, founds = truths + [empty], founds + [empty]
        write(truths, founds)
        ours = scores(folder, "stardist")["metrics"]
        for how, by_image in (("mean", True), ("pooled", False)):
            theirs = matching.matching_dataset(truths, founds, THRESHOLDS, by_image=by_image, show_progress=False)
            compare(f"stardist, {how}", [ours[key][how] for key in keys], [each.accuracy for each in theirs])
    report.finish()


if __name__ == "__main__":
    main()
