"""Vector fields of label images: `basin field` against torchvf's SDF field (seung-lab edt) and its affinity field, and
against the definitions written with scipy's distance transform, one object at a time.

--time adds 1024 x 1024 pixels with 2,704 objects: torchvf's loop over the objects against `basin bench field`.
"""
import argparse
import pathlib
import time

import common

numpy, ndimage = common.modules("numpy", "scipy.ndimage")
common.modules("PIL.Image")


def basin_field(folder, labels, *options):
    common.write_picture(folder / "labels.png", labels.astype(numpy.uint16))
    common.basin("field", folder / "labels.png", *options, "--out", folder / "field.npy")
    return numpy.load(folder / "field.npy")


def sdf_by_object(labels, truncate, kernel):
    """The SDF field by its definition, in double precision."""
    radius = kernel // 2
    t = numpy.linspace(-1, 1, kernel)
    gauss = numpy.exp(-(t[:, None] ** 2 + t[None] ** 2) / (2 * 0.5 ** 2))
    gauss /= gauss.sum()
    weights = gauss * numpy.sign(t.round(12))[None], gauss * numpy.sign(t.round(12))[:, None]
    field = numpy.zeros((2, *labels.shape))
    for k, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        own = numpy.pad(labels[box] == k, radius)
        distance = ndimage.distance_transform_edt(own) - ndimage.distance_transform_edt(~own)
        distance = numpy.minimum(distance, truncate)
        for component in range(2):
            found = ndimage.correlate(distance, weights[component], mode="nearest")
            field[component][box][own[radius:-radius, radius:-radius]] = found[own]
    return field


def omnipose_by_object(labels):
    """The unit gradient of each object's distance transform; outside of the image is background."""
    field = numpy.zeros((2, *labels.shape))
    for k in range(1, labels.max() + 1):
        own = labels == k
        phi = ndimage.distance_transform_edt(numpy.pad(own, 1))[1:-1, 1:-1]
        gradient = []
        for axis in (1, 0):
            after = numpy.zeros_like(own)
            before = numpy.zeros_like(own)
            inner = [slice(None)] * 2, [slice(None)] * 2
            inner[0][axis], inner[1][axis] = slice(None, -1), slice(1, None)
            low, high = tuple(inner[0]), tuple(inner[1])
            after[low], before[high] = own[high] & own[low], own[low] & own[high]
            up = numpy.where(after, numpy.roll(phi, -1, axis), phi)
            down = numpy.where(before, numpy.roll(phi, 1, axis), phi)
            gradient.append((up - down) / numpy.where(after & before, 2, 1))
        norm = numpy.hypot(*gradient)
        for component in range(2):
            unit = numpy.where(norm < 1e-12, 0, gradient[component] / numpy.maximum(norm, 1e-12))
            field[component][own] = unit[own]
    return field


def centroid_by_object(labels, mode):
    ids = numpy.unique(labels)
    count = numpy.bincount(labels.ravel(), minlength=ids.max() + 1)
    field = numpy.zeros((2, *labels.shape))
    for component, position in enumerate(numpy.meshgrid(*map(numpy.arange, labels.shape[::-1]))):
        centre = numpy.bincount(labels.ravel(), weights=position.ravel()) / numpy.maximum(count, 1)
        field[component] = centre[labels] - position
    if mode == "unit":
        norm = numpy.hypot(*field)
        field *= numpy.minimum(1, norm) / numpy.maximum(norm, 1e-6)
    return field * (labels > 0)


def compare_definitions(report, folder, labels, what):
    for truncate, kernel in ((10, 11), (3, 15), (20, 3)):
        ours = basin_field(folder, labels, "--kind", "sdf", "--truncate", truncate, "--kernel", kernel)
        report.close(f"sdf {what} truncate {truncate} kernel {kernel}, scipy", ours,
                     sdf_by_object(labels, truncate, kernel), 1e-5)
    report.close(f"omnipose {what}, scipy", basin_field(folder, labels, "--kind", "omnipose"),
                 omnipose_by_object(labels), 1e-5)
    for mode in ("unit", "displacement"):
        report.close(f"centroid {mode} {what}, numpy",
                     basin_field(folder, labels, "--kind", "centroid", "--mode", mode),
                     centroid_by_object(labels, mode), 1e-5)


def compare_torchvf(report, folder, labels, what):
    import torch
    from torchvf.numerics import affinity_vf, compute_vector_field
    tensor = torch.from_numpy(labels)
    for truncate, kernel in ((10, 11), (5, 7)):
        theirs = compute_vector_field(tensor[None], kernel, alpha=truncate).numpy()
        ours = basin_field(folder, labels, "--kind", "sdf", "--truncate", truncate, "--kernel", kernel)
        report.close(f"sdf {what} truncate {truncate} kernel {kernel}, torchvf", ours, theirs, 1e-5)
    for kernel in (11, 19):
        theirs = affinity_vf(tensor[None, None], kernel)[0].numpy()
        ours = basin_field(folder, labels, "--kind", "affinity", "--kernel", kernel)
        report.close(f"affinity {what} kernel {kernel}, torchvf", ours, theirs, 1e-6)


def crowd(side, across, seed):
    """Tilted ellipses around the points of a lattice, many of them touching: across^2 objects."""
    random = numpy.random.default_rng(seed)
    pitch = side / across
    y, x = numpy.mgrid[:side, :side]
    deepest, labels = numpy.ones((side, side)), numpy.zeros((side, side), numpy.int32)
    for k in range(across * across):
        centre_y, centre_x = (k // across + .5) * pitch, (k % across + .5) * pitch
        centre_y, centre_x = centre_y + random.uniform(-.12, .12) * pitch, centre_x + random.uniform(-.12, .12) * pitch
        a, b, turn = *(random.uniform(.35, .55, 2) * pitch), random.uniform(0, numpy.pi)
        box = tuple(slice(max(0, int(c - pitch)), int(c + pitch) + 1) for c in (centre_y, centre_x))
        u = (x[box] - centre_x) * numpy.cos(turn) + (y[box] - centre_y) * numpy.sin(turn)
        v = (y[box] - centre_y) * numpy.cos(turn) - (x[box] - centre_x) * numpy.sin(turn)
        norm = (u / a) ** 2 + (v / b) ** 2
        inside = norm <= deepest[box]
        deepest[box][inside], labels[box][inside] = norm[inside], k + 1
    return labels


def compare_time(report, folder):
    import torch
    from torchvf.numerics import compute_vector_field
    labels = crowd(1024, 52, 0)
    tensor = torch.from_numpy(labels)[None]
    ours = basin_field(folder, labels)
    common.basin("bench", "field", "--input", folder / "labels.png", "--json", folder / "bench.json")
    our_time = next(r for r in common.load_json(folder / "bench.json") if r["name"] == "field, sdf")["median_ms"]
    times = []
    torch.set_num_threads(1)  # fastest for the peer, whose pieces of work are small
    for _ in range(2):
        start = time.perf_counter()
        theirs = compute_vector_field(tensor, 11).numpy()
        times.append(1e3 * (time.perf_counter() - start))
    report.close(f"sdf 1024x1024, {labels.max()} objects", ours, theirs, 1e-4)
    print(f"     torchvf {min(times):.0f} ms, Basin {our_time:.2f} ms: ratio {min(times) / our_time:.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    common.basin_path()
    cases = [(f"{height}x{width}", common.sample_labels(height, width, count, seed)) for height, width, count, seed in
             ((120, 160, 25, 0), (257, 131, 40, 1), (40, 40, 1, 2), (9, 300, 12, 3))]
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for what, labels in cases:
            compare_definitions(report, folder, labels, what)
        if report.failed:
            report.finish()
        common.modules("torch", "edt")
        common.use_torchvf()
        for what, labels in cases:
            compare_torchvf(report, folder, labels, what)
        if options.time:
            compare_time(report, folder)
    report.finish()


if __name__ == "__main__":
    main()
