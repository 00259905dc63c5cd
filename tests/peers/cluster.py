"""DBSCAN and the assignment of noise points: `basin cluster` against scikit-learn and torchvf, label for label.

    python cluster.py [--time] [--side 3100]      --time: also a million points, both timed; side of their image

The points are those that decoding makes: the pixels of discs in raster order, pulled towards their centre. Pulled by
2.5 px with some scatter they stay spread out (A), by 6.5 px they end close together (B).
"""
import argparse
import pathlib
import time

import common

numpy = common.modules("numpy")
DBSCAN = common.modules("sklearn.cluster").DBSCAN


def pulled_discs(side, pull, scatter, seed=0, pitch=24, radius=10):
    y, x = numpy.mgrid[:side, :side].astype(numpy.float64)
    d_x, d_y = pitch / 2 - x % pitch, pitch / 2 - y % pitch
    distance = numpy.hypot(d_x, d_y)
    inside = distance <= radius
    shift = numpy.minimum(pull, distance) / numpy.maximum(distance, 1e-9)
    points = numpy.stack([x + shift * d_x, y + shift * d_y], axis=-1)[inside]
    return (points + scatter * numpy.random.default_rng(seed).standard_normal(points.shape)).astype(numpy.float32)


def basin_labels(folder, points, eps, min_samples, *options):
    numpy.save(folder / "points.npy", points)
    common.basin("cluster", folder / "points.npy", "--eps", eps, "--min-samples", min_samples, *options, "--out",
                 folder / "labels.npy")
    return numpy.load(folder / "labels.npy")


def compare_dbscan(report, folder):
    random = numpy.random.default_rng(1)
    cases = {
        "A": pulled_discs(700, 2.5, 0.15), "B": pulled_discs(700, 6.5, 0.15),
        "A shuffled": random.permutation(pulled_discs(400, 2.5, 0.15)),
        "uniform": random.uniform(0, 120, (20000, 2)).astype(numpy.float32),
        "uniform, double, far from 0": random.uniform(-1e4, -1e4 + 90, (15000, 2)),
        "on the grid": random.permutation(numpy.argwhere(random.random((150, 150)) < 0.6).astype(numpy.float32)),
        "clumps far apart": numpy.concatenate([random.uniform(-20, 20, (2000, 2)) + at for at in
                                               ((0, 0), (1e6, 0), (-1e6, 1e7), (3e11, -2e9))]),
        "heavy tails": 5 * random.standard_t(1, (8000, 2)),
        "on the grid, double, exactly eps apart, huge": numpy.indices((90, 80)).reshape(2, -1).T.copy() + 1e7,
        "equal points": numpy.repeat(random.uniform(0, 30, (40, 2)), 25, axis=0).astype(numpy.float32),
    }
    for name, points in cases.items():
        for eps, min_samples in ((2.25, 15), (1.0, 4), (5.0, 60)):
            theirs = DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(points).labels_
            ours = basin_labels(folder, points, eps, min_samples)
            report.equal(f"dbscan {name}, eps {eps}, {min_samples} samples", ours, theirs)


def compare_snapping(report, folder):
    import torch
    common.use_torchvf()
    from torchvf.utils.clustering import cluster
    for name, points in (("A", pulled_discs(400, 2.5, 0.15)), ("scattered", pulled_discs(300, 2.5, 0.9))):
        mask = torch.ones(1, 1, len(points), dtype=torch.bool)
        theirs = cluster(torch.from_numpy(points).T, mask, eps=2.25, min_samples=15)[0, 0].numpy() - 1
        ours = basin_labels(folder, points, 2.25, 15, "--snap-noise")
        report.equal(f"snapped noise {name}", ours, theirs.astype(ours.dtype))


def compare_time(report, folder, side):
    """Basin's times include reading and writing the files, as when a user runs the command."""
    for name, pull in (("A", 2.5), ("B", 6.5)):
        points = pulled_discs(side, pull, 0.15)
        start = time.perf_counter()
        theirs = DBSCAN(eps=2.25, min_samples=15, n_jobs=-1).fit(points).labels_
        their_time = time.perf_counter() - start
        our_times = []
        for _ in range(3):
            start = time.perf_counter()
            ours = basin_labels(folder, points, 2.25, 15)
            our_times.append(time.perf_counter() - start)
        report.equal(f"{name}, {len(points)} points", ours, theirs)
        print(f"     scikit-learn n_jobs=-1 {1e3 * their_time:.0f} ms, the whole command {1e3 * min(our_times):.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--side", type=int, default=1360)
    options = parser.parse_args()
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        compare_dbscan(report, folder)
        compare_snapping(report, folder)
        if options.time:
            compare_time(report, folder, options.side)
    report.finish()


if __name__ == "__main__":
    main()
