"""`basin evaluate` against the peers' own scoring code, on generated label images.

    python scores.py [BASIN]        BASIN: the binary; default: $BASIN, then that of the cpu preset

Peers, each used if it can be imported and named as skipped if not: StarDist, Cellpose and py-ctcmetrics as installed
packages; from checkouts that a variable names, torchvf (TORCHVF), HoVer-Net's stats_utils.py (HOVERNET), the leaf
challenge's evaluate_LSC.py (CVPPP_LEAF_SEG), object-guided segmentation's eval_parts.py (OBJGUIDED) and EmbedSeg
(EMBEDSEG).
Exit status 1 on a mismatch; 77 if no peer could be used.
"""
import importlib
import importlib.util
import os
import pathlib
import sys
import types
import warnings

if len(sys.argv) > 1:
    os.environ["BASIN"] = sys.argv[1]
import common  # noqa: E402

numpy = common.modules("numpy")
warnings.simplefilter("ignore", RuntimeWarning)  # some peers compute 0 / 0, which is part of the comparison

COCO = [percent / 100 for percent in range(50, 100, 5)]
SINGLE, DOUBLE = 2e-7, 1e-12
GUARD = 2e-6  # where a peer adds 1e-6 to a denominator


# Label images.

def blobs(generator, height, width, count, scale):
    """Ellipses, later ones over earlier ones, with ids in drawing order (some objects are hidden)."""
    y, x = numpy.mgrid[:height, :width]
    labels = numpy.zeros((height, width), numpy.int32)
    for k in range(count):
        centre = generator.uniform((0, 0), (height, width))
        radius = generator.uniform(0.4, 1, 2) * scale
        labels[((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1] = k + 1
    return labels


def disturbed(generator, labels):
    """An imitated segmentation: objects moved, dropped, merged, cut in two, and added."""
    out = numpy.zeros_like(labels)
    ids = [k for k in numpy.unique(labels) if k]
    for k in ids:
        fate = generator.random()
        mask = numpy.roll(labels == k, generator.integers(-2, 3, 2), (0, 1))
        if fate < 0.1:
            continue
        out[mask] = k
        if fate > 0.85:
            half = numpy.arange(labels.shape[1]) > numpy.argwhere(mask)[:, 1].mean()
            out[mask & half] = k + len(labels)
        elif fate > 0.75:
            out[mask] = generator.choice(ids)
    fresh = blobs(generator, *labels.shape, 3, 6)
    return numpy.where((out == 0) & (fresh > 0), fresh + 10 * len(labels), out)


def consecutive(labels):
    return numpy.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(numpy.int32)


def with_background(labels):
    labels[0, 0] = 0  # some peers treat the smallest or first id as the background
    return labels


def images():
    """(truth, prediction) in consecutive ids; the last three pairs lack objects on one side or both."""
    pairs = []
    for seed in range(12):
        generator = numpy.random.default_rng(seed)
        height, width = generator.integers(60, 140, 2)
        truth = blobs(generator, height, width, 12 + 3 * seed, generator.uniform(4, 14))
        pairs.append((truth, disturbed(generator, truth)))
    squares = numpy.kron(numpy.arange(1, 26).reshape(5, 5), numpy.ones((8, 8), numpy.int32)).astype(numpy.int32)
    pairs.append((squares, numpy.roll(squares, 2, 1)))  # IoU 48/80 and 16/112, many equal
    pairs.append((squares, squares * 2 + (numpy.arange(40) % 8 > 3)))  # IoU exactly one half, twice for each object
    empty = numpy.zeros((40, 50), numpy.int32)
    some = blobs(numpy.random.default_rng(99), 40, 50, 5, 8)
    pairs += [(some, empty), (empty, some), (empty, empty)]
    return [tuple(consecutive(with_background(labels.copy())) for labels in pair) for pair in pairs]


def sparse_ids(labels):
    """The same objects under ids with gaps, in the same order."""
    return numpy.where(labels > 0, labels * 7 + 300, 0).astype(numpy.int32)


def confidences(pairs):
    """A confidence for each predicted object; all differ, so that the peers' unstable sorts agree."""
    generator = numpy.random.default_rng(7)
    all_ranks = iter(generator.permutation(sum(int(prediction.max()) for _, prediction in pairs)))
    return [[(1 + next(all_ranks)) / 4096 for _ in range(prediction.max())] for _, prediction in pairs]


def write(folder, pairs, confidence):
    for k, pair in enumerate(pairs):
        for side, labels in zip(("truth", "prediction"), pair):
            (folder / side).mkdir(exist_ok=True)
            numpy.save(folder / side / f"image{k:02}_masks.npy", sparse_ids(labels))
        rows = [f"{7 * label + 300},{score}" for label, score in enumerate(confidence[k], start=1)]
        (folder / "prediction" / f"image{k:02}_scores.csv").write_text("\n".join(["label,score", *rows]) + "\n")


# Basin's side.

class Basin:
    def __init__(self, folder, confidence):
        self.folder = folder
        self.confidence = confidence
        self.reports = {}

    def report(self, dialect):
        if dialect not in self.reports:
            file = self.folder / f"{dialect}.json"
            common.basin("evaluate", "--pred", self.folder / "prediction", "--truth", self.folder / "truth",
                         "--dialect", dialect, "--json", file)
            self.reports[dialect] = common.load_json(file)
        return self.reports[dialect]

    def per_image(self, key, dialect="stardist"):
        return [number(image["metrics"][key]) for image in self.report(dialect)["per_image"]]

    def overall(self, key, aggregation, dialect="stardist"):
        return number(self.report(dialect)["metrics"][key][aggregation])


def number(value):
    return numpy.nan if value is None else value


def ap(threshold):
    return f"AP{round(100 * threshold)}"


def compare(report, what, ours, theirs, tolerance):
    """Equal up to the tolerance; undefined on one side must be undefined on the other."""
    ours, theirs = numpy.atleast_1d(numpy.array(ours, float)), numpy.atleast_1d(numpy.array(theirs, float))
    same = numpy.isnan(ours) == numpy.isnan(theirs)
    worst = numpy.nan_to_num(numpy.abs(ours - theirs)).max(initial=0)
    report.check(what, bool(same.all()) and worst <= tolerance,
                 f"{len(theirs)} values, largest difference {worst:.1e} of {tolerance:.0e}"
                 + ("" if same.all() else f", undefined in {int((~same).sum())} cases on one side only"))


def has_objects(pairs):
    return [k for k, (truth, prediction) in enumerate(pairs) if truth.any() and prediction.any()]


def pick(values, indices):
    return [values[k] for k in indices]


# The peers. Each function raises ImportError if its peer is not installed.

def alone(package, module, stand_ins):
    """One module of an installed package, without the rest of it, which may need a deep-learning framework.
    `stand_ins`: modules that it imports and scoring never uses, with the names that it takes from them."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"{package} is not installed")
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = list(spec.submodule_search_locations)
    for path, names in stand_ins.items():
        parent, _, child = path.partition(".")
        sys.modules[path] = types.ModuleType(path)
        setattr(sys.modules.setdefault(parent, types.ModuleType(parent)), child, sys.modules[path])
        for name in names:
            setattr(sys.modules[path], name, None)
    return importlib.import_module(f"{package}.{module}")


def checkout(variable, path, *absent):
    """A module of a checkout, by its path; what it imports and the comparison does not need may be absent."""
    root = os.environ.get(variable, "")
    if not (pathlib.Path(root) / path).is_file():
        raise ImportError(f"set {variable} to a checkout that has {path}")
    for name in absent:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, pathlib.Path(root) / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stardist(report, basin, pairs):
    matching = alone("stardist", "matching", {"skimage.measure": ["regionprops"], "csbdeep.utils": ["_raise"]})
    truths, predictions = zip(*pairs)
    for k, t in enumerate(COCO):
        theirs = [matching.matching(*pair, thresh=t).accuracy for pair in pairs]
        compare(report, f"stardist accuracy at {t}, each image", basin.per_image(ap(t)), theirs, DOUBLE)
        for by_image, aggregation in ((True, "mean"), (False, "pooled")):
            theirs = matching.matching_dataset(truths, predictions, thresh=t, by_image=by_image, show_progress=False)
            compare(report, f"stardist accuracy at {t}, {aggregation}", basin.overall(ap(t), aggregation),
                    theirs.accuracy, DOUBLE)


def cellpose(report, basin, pairs):
    metrics = alone("cellpose", "metrics", {"cellpose.utils": []})
    average_precision = metrics.average_precision
    usable = has_objects(pairs)[:-2]  # in the last two many pairs tie, so that matches are not unique
    theirs = metrics.aggregated_jaccard_index(*zip(*(pairs[k] for k in usable)))
    compare(report, "cellpose aggregated_jaccard_index, each image", pick(basin.per_image("AJI_cellpose"), usable),
            theirs, SINGLE)
    theirs = average_precision(*map(list, zip(*pairs)), threshold=COCO)[0]
    for k, t in enumerate(COCO):
        compare(report, f"cellpose average_precision at {t}, each image", basin.per_image(ap(t), "cellpose"),
                theirs[:, k], SINGLE)
        compare(report, f"cellpose average_precision at {t}, mean", basin.overall(ap(t), "mean", "cellpose"),
                numpy.nanmean(theirs[:, k], dtype=float), SINGLE)


def torchvf(report, basin, pairs):
    if not (pathlib.Path(os.environ.get("TORCHVF", "")) / "torchvf" / "metrics").is_dir():
        raise ImportError("set TORCHVF to a checkout of torchvf (ryanirl/torchvf)")
    torch = importlib.import_module("torch")
    common.use_torchvf()
    map_iou = importlib.import_module("torchvf.metrics.map_iou")
    semantic = importlib.import_module("torchvf.metrics")
    usable = has_objects(pairs)  # its IoU drops a row and a column as background, which with a single id leaves nothing
    theirs = numpy.array([map_iou.map_iou([pairs[k][1]], [pairs[k][0]]) for k in usable])
    for column, t in enumerate((0.5, 0.75, 0.9)):
        compare(report, f"torchvf map_iou at {t}, each image", pick(basin.per_image(ap(t), "torchvf"), usable),
                theirs[:, column], DOUBLE)
    compare(report, "torchvf mAP, each image", pick(basin.per_image("mAP", "torchvf"), usable), theirs.mean(1), DOUBLE)
    ious = [map_iou.compute_iou(prediction, truth) for truth, prediction in pairs]
    for t in COCO:
        tp, fp, fn = numpy.sum([map_iou.precision_at(t, iou) for iou in ious], axis=0)
        compare(report, f"torchvf map_iou at {t}, pooled", basin.overall(ap(t), "pooled", "torchvf"),
                tp / (tp + fp + fn), DOUBLE)
    kaggle = [numpy.mean([tp / max(1, tp + fp + fn) for tp, fp, fn in (map_iou.precision_at(t, iou) for t in COCO)])
              for iou in ious]
    compare(report, "DSB 2018 score from torchvf's counts, each image", basin.per_image("AP50:95", "dsb2018"), kaggle,
            DOUBLE)
    compare(report, "DSB 2018 score from torchvf's counts, mean", basin.overall("AP50:95", "mean", "dsb2018"),
            numpy.mean(kaggle), DOUBLE)
    for key, function in (("semantic_IoU", semantic.iou), ("semantic_F1", semantic.f1)):
        theirs = [function(*(torch.from_numpy(labels > 0)[None, None].double() for labels in reversed(pair))).item()
                  for pair in pairs]
        compare(report, f"torchvf {key}, each image (both empty: 1, there NaN)", basin.per_image(key),
                numpy.nan_to_num(theirs, nan=1), DOUBLE)


def hovernet(report, basin, pairs):
    stats = checkout("HOVERNET", "metrics/stats_utils.py", "cv2", "matplotlib", "matplotlib.pyplot")
    usable = has_objects(pairs)
    panoptic = [stats.get_fast_pq(*pairs[k])[0] for k in usable]
    for column, key in enumerate(("DQ", "SQ", "PQ")):
        compare(report, f"HoVer-Net {key}, each image", pick(basin.per_image(key), usable),
                [scores[column] for scores in panoptic], GUARD)
    distinct = usable[:-2]  # in the last two many pairs tie, and the peer's choice depends on the 1e-6 that it adds
    for key, function, which in (("AJI", stats.get_fast_aji, usable), ("AJI+", stats.get_fast_aji_plus, distinct),
                                 ("Dice2", stats.get_fast_dice_2, usable)):
        compare(report, f"HoVer-Net {key}, each image", pick(basin.per_image(key), which),
                [function(*pairs[k]) for k in which], DOUBLE)


def leaf_challenge(report, basin, pairs):
    module = checkout("CVPPP_LEAF_SEG", "utils/evaluate_LSC.py", "h5py")
    best = [(module.BestDice(prediction, truth), module.BestDice(truth, prediction)) for truth, prediction in pairs]
    compare(report, "leaf challenge bestDice, each image", basin.per_image("BD_pred"), [b[0] for b in best], DOUBLE)
    compare(report, "leaf challenge bestDice exchanged, each image", basin.per_image("BD_truth"), [b[1] for b in best],
            DOUBLE)
    compare(report, "leaf challenge SBD, each image", basin.per_image("SBD"), [min(b) for b in best], DOUBLE)
    for key, function in (("FgBgDice", module.FGBGDice), ("DiC", module.DiffFGLabels),
                          ("|DiC|", module.AbsDiffFGLabels)):
        theirs = [function(prediction, truth) for truth, prediction in pairs]
        compare(report, f"leaf challenge {key}, each image", basin.per_image(key), theirs, DOUBLE)
        compare(report, f"leaf challenge {key}, mean", basin.overall(key, "mean"), numpy.mean(theirs), DOUBLE)


def cell_tracking(report, basin, pairs):
    tifffile = importlib.import_module("tifffile")
    measures = {key: getattr(importlib.import_module(f"ctc_metrics.metrics.technical.{key}"), key)
                for key in ("seg", "det")}
    representations = importlib.import_module("ctc_metrics.utils.representations")
    with common.scratch() as name:
        frames = []
        for pair in pairs:
            files = [pathlib.Path(name) / side for side in ("reference.tif", "computed.tif")]
            for file, labels in zip(files, pair):
                tifffile.imwrite(file, labels)
            frames.append(representations.match(*map(str, files)))
    usable = [k for k, (truth, _) in enumerate(pairs) if truth.any()]

    def scores(frames):
        labels, computed, mapped, mapped_computed, ious = map(list, zip(*frames))
        counts = representations.count_acyclic_graph_correction_operations(
            None, None, labels, computed, mapped, mapped_computed)
        return measures["seg"](labels, ious), measures["det"](**counts)

    seg, det = zip(*(scores([frames[k]]) for k in usable))
    for key, theirs, pooled in zip(("SEG", "DET"), (seg, det), scores(frames)):
        compare(report, f"Cell Tracking Challenge {key}, each image", pick(basin.per_image(key), usable), theirs,
                DOUBLE)
        compare(report, f"Cell Tracking Challenge {key}, all frames", basin.overall(key, "pooled"), pooled, DOUBLE)


def object_guided(report, basin, pairs):
    module = checkout("OBJGUIDED", "eval_parts.py")

    def cut(labels):
        """Masks, and boxes with exclusive ends: x0, y0, x1, y1."""
        masks = [labels == k for k in range(1, labels.max() + 1)]
        ends = [numpy.argwhere(mask) for mask in masks]
        boxes = [[*e.min(0)[::-1], *(e.max(0)[::-1] + 1)] for e in ends]
        return numpy.array(masks).reshape(-1, *labels.shape), numpy.array(boxes, float).reshape(-1, 4)

    def inclusive(labels):
        """Boxes with inclusive ends: y0, x0, y1, x1."""
        return (cut(labels)[1] - (0, 0, 1, 1))[:, [1, 0, 3, 2]]

    class Truth:
        def load_annoFolder(self, image):
            return image

        def load_gt_masks_bboxes(self, image):
            return cut(pairs[image][0])

        def load_gt_bboxes(self, image):
            return inclusive(pairs[image][0])

    def average_precision(images, threshold):
        hits, scores, total = [], [], 0
        for k in images:
            masks, boxes = cut(pairs[k][1])
            crops = [mask[int(y0):int(y1), int(x0):int(x1)] for mask, (x0, y0, x1, y1) in zip(masks, boxes)]
            detections = numpy.column_stack([boxes, basin.confidence[k]]) if len(boxes) else boxes
            _, hit, scores, total, _ = module.seg_evaluation(crops, detections, Truth(), scores, k, total, [],
                                                             threshold)
            hits.extend(hit)
        return area(hits, scores, total)

    def area(hits, scores, total):
        hits = numpy.array(hits)[numpy.argsort(-numpy.array(scores))]
        found = numpy.cumsum(hits)
        return module.voc_ap(found / total, found / numpy.arange(1, len(hits) + 1), use_07_metric=False)

    def average_precision_of_boxes(images, threshold):
        hits, scores, total = [], [], 0
        for k in images:
            boxes = inclusive(pairs[k][1])
            detections = numpy.column_stack([boxes, basin.confidence[k]]) if len(boxes) else boxes
            with numpy.errstate(invalid="ignore"):
                _, hit, scores, total = module.dec_evaluation(detections, Truth(), scores, k, total, threshold)
            hits.extend(hit)
        return area(hits, scores, total)

    usable = has_objects(pairs)
    for t in COCO:
        theirs = [average_precision([k], t) for k in usable]
        compare(report, f"object-guided VOC2010 AP at {t}, each image", pick(basin.per_image("VOC_" + ap(t)), usable),
                theirs, DOUBLE)
        compare(report, f"object-guided VOC2010 AP at {t}, all images", basin.overall("VOC_" + ap(t), "pooled"),
                average_precision(range(len(pairs)), t), DOUBLE)
        theirs = [average_precision_of_boxes([k], t) for k in usable]
        compare(report, f"object-guided VOC2010 AP of boxes at {t}, each image",
                pick(basin.per_image("VOC_box_" + ap(t)), usable), theirs, DOUBLE)
        compare(report, f"object-guided VOC2010 AP of boxes at {t}, all images",
                basin.overall("VOC_box_" + ap(t), "pooled"), average_precision_of_boxes(range(len(pairs)), t), DOUBLE)


def embedseg(report, basin, pairs):
    """True objects on one plane each, widened so that neighbours overlap."""
    module = checkout("EMBEDSEG", "EmbedSeg/utils/metrics.py")
    usable = has_objects(pairs)
    stacks = {}
    for k in usable:
        truth = pairs[k][0]
        planes = numpy.stack([truth == label for label in range(1, truth.max() + 1)])
        planes[:, 1:] |= planes[:, :-1].copy()
        stacks[k] = planes.astype(numpy.uint8)
    with common.scratch() as name:
        folder = pathlib.Path(name)
        write(folder, [pairs[k] for k in usable], [basin.confidence[k] for k in usable])
        for place, k in enumerate(usable):
            numpy.save(folder / "truth" / f"image{place:02}_masks.npy", stacks[k])
        planes = Basin(folder, basin.confidence)
        for t in COCO:
            theirs = [module.obtain_APdsb_one_hot(stacks[k], pairs[k][1], t) for k in usable]
            compare(report, f"EmbedSeg one-hot AP_dsb at {t}, each image", planes.per_image(ap(t)), theirs, DOUBLE)
            compare(report, f"EmbedSeg one-hot AP_dsb at {t}, mean", planes.overall(ap(t), "mean"),
                    numpy.mean(theirs), DOUBLE)


def main():
    common.basin_path()
    report = common.Report()
    pairs = images()
    confidence = confidences(pairs)
    used = 0
    with common.scratch() as name:
        folder = pathlib.Path(name)
        write(folder, pairs, confidence)
        basin = Basin(folder, confidence)
        for peer in (stardist, cellpose, torchvf, hovernet, leaf_challenge, cell_tracking, object_guided, embedseg):
            try:
                peer(report, basin, pairs)
                used += 1
            except ImportError as error:
                print(f"skipped: {peer.__name__} ({error})")
    if not used:
        common.skip("no peer could be imported")
    report.finish()


if __name__ == "__main__":
    main()
