"""Times of the stages of decoding and of the SDF field against established software, after comparing the results.

    python stage_speed.py [NAME...] [--rounds 5]      NAME: components, dbscan, integrate, field, twice

Rounds alternate between Basin and the peer, on the same input, and the best of each side counts: what else the machine
does then disturbs both alike. Basin's time is that of `basin bench --input`, the work alone, as is the peer's, whose
input is in memory. `twice` is the time for twice the pixels or points, at most 2.1 times that for one.
"""
import argparse
import os
import pathlib
import time

import common

numpy = common.modules("numpy")
LEAST = {"components": 3, "dbscan": 60, "integrate": 10, "field": 300}


class Times:
    def __init__(self):
        self.ms = {}

    def add(self, side, ms):
        self.ms[side] = min(ms, self.ms.get(side, ms))

    def of(self, side, work):
        """Runs the work, records its time and returns its result."""
        start = time.perf_counter()
        result = work()
        self.add(side, 1e3 * (time.perf_counter() - start))
        return result

    def bench(self, folder, *arguments):
        common.basin("bench", *arguments, "--json", folder / "bench.json")
        for result in common.load_json(folder / "bench.json"):
            self.add((result["name"], result["shape"]), result["min_ms"])
            self.add((result["name"], result["shape"], "processor"), result["cpu_ms"])

    def ratio(self, report, what, ours, theirs, least):
        peer, best = min(((side, self.ms[side]) for side in theirs), key=lambda each: each[1])
        report.check(what, best / self.ms[ours] >= least,
                     f"Basin {self.ms[ours]:.2f} ms, {peer} {best:.1f} ms, ratio {best / self.ms[ours]:.1f} of {least}")


def components(report, folder, rounds):
    ndimage = common.modules("scipy.ndimage")
    random = numpy.random.default_rng(0)
    y, x = numpy.mgrid[:4096, :4096]
    masks = {"cells": (y % 20 - 10) ** 2 + (x % 20 - 10) ** 2 < 72} | {
        f"random {share}": random.random((4096, 4096)) < share for share in (0.5, 0.6)}
    for title, mask in masks.items():
        numpy.save(folder / "mask.npy", mask)
        times, shape = Times(), "4096x4096, {}-connected"
        for _ in range(rounds):
            times.bench(folder, "components", "--input", folder / "mask.npy", "--reps", 8)
            theirs = {c: times.of(f"scipy {c}", lambda: ndimage.label(mask, numpy.ones((3, 3)) if c == 8 else None)[0])
                      for c in (4, 8)}
        for c in (4, 8):
            common.basin("components", folder / "mask.npy", "--connectivity", c, "--out", folder / "labels.npy")
            report.equal(f"components {title} {c}", numpy.load(folder / "labels.npy"), theirs[c])
            times.ratio(report, f"components {title} {c}", ("components, input", shape.format(c)), [f"scipy {c}"],
                        LEAST["components"])


def dbscan(report, folder, rounds):
    DBSCAN = common.modules("sklearn.cluster").DBSCAN
    from cluster import basin_labels, pulled_discs
    points = pulled_discs(1350, 2.5, 0.15)
    numpy.save(folder / "points.npy", points)
    times = Times()
    for _ in range(rounds):
        times.bench(folder, "dbscan", "--input", folder / "points.npy")
        for jobs in (1, -1):
            theirs = times.of(f"scikit-learn n_jobs={jobs}",
                              lambda: DBSCAN(eps=2.2, min_samples=15, n_jobs=jobs).fit(points).labels_)
    report.equal(f"dbscan, {len(points)} points", basin_labels(folder, points, 2.2, 15), theirs)
    times.ratio(report, f"dbscan, {len(points)} points", ("dbscan, input", f"{len(points)} points, float32"),
                ["scikit-learn n_jobs=1", "scikit-learn n_jobs=-1"], LEAST["dbscan"])


def integrate(report, folder, rounds):
    torch = common.modules("torch")
    common.use_torchvf()
    from torchvf.numerics import interp_vf, ivp_solver
    torch.manual_seed(0)
    coarse = 1.5 * torch.randn(1, 2, 160, 160)
    field = torch.nn.functional.interpolate(coarse, size=(1000, 1000), mode="bicubic").contiguous()
    y, x = torch.meshgrid(torch.arange(1000.0), torch.arange(1000.0), indexing="ij")
    points = torch.stack([x.flatten(), y.flatten()])
    numpy.save(folder / "field.npy", field[0].numpy())
    numpy.save(folder / "points.npy", numpy.ascontiguousarray(points.T.numpy()))
    times = Times()
    with torch.no_grad():
        for _ in range(rounds):
            times.bench(folder, "integrate", "--input", folder / "field.npy")
            theirs = times.of("torchvf", lambda: ivp_solver(interp_vf(field, mode="bilinear"), points, dx=0.1,
                                                            n_steps=25, solver="euler")[-1])
    common.basin("integrate", folder / "field.npy", "--points", folder / "points.npy", "--out", folder / "out.npy")
    report.close("integrate, 1000000 points", numpy.load(folder / "out.npy"), theirs.T.numpy(), 1e-6)
    times.ratio(report, "integrate, 1000000 points", ("integrate, Euler, input", "1000000 points, float32"),
                ["torchvf"], LEAST["integrate"])


def field(report, folder, rounds):
    torch = common.modules("torch")
    common.modules("edt")
    common.use_torchvf()
    from torchvf.numerics import compute_vector_field
    from fields import basin_field, crowd
    labels = crowd(1024, 52, 0)
    ours, tensor, times = basin_field(folder, labels), torch.from_numpy(labels)[None], Times()
    torch.set_num_threads(1)  # fastest for the peer, whose pieces of work are small
    for _ in range(min(rounds, 2)):
        times.bench(folder, "field", "--input", folder / "labels.png")
        theirs = times.of("torchvf", lambda: compute_vector_field(tensor, 11).numpy())
    torch.set_num_threads(os.cpu_count())
    report.close(f"field, {labels.max()} objects", ours, theirs, 1e-4)
    times.ratio(report, f"field, {labels.max()} objects", ("field, sdf", f"1024x1024, {labels.max()} objects"),
                ["torchvf"], LEAST["field"])


def twice(report, folder, rounds):
    # The benchmark at its own size and at twice that size.
    pairs = [("dbscan, contracted", "1000000 points, float32", "2000000 points, float32"),
             ("integrate, Euler", "1000000 points, float32", "2000000 points, float32"),
             ("field, sdf", "1024x1024", "2048x1024"),
             ("components, cells", "4096x4096, 4-connected", "8192x4096, 4-connected")]
    times = Times()
    for _ in range(rounds):
        for name in ("dbscan", "integrate", "field", "components"):
            times.bench(folder, name)
    for name, one, two in pairs:
        one, two = ([min(t for side, t in times.ms.items() if side[0] == name and side[1].startswith(shape) and
                         len(side) == length) for length in (2, 3)] for shape in (one, two))
        report.check(f"{name}, twice", two[0] <= 2.1 * one[0], f"{one[0]:.2f} and {two[0]:.2f} ms, "
                     f"{two[0] / one[0]:.2f} x; of the processor {one[1]:.2f} and {two[1]:.2f} ms, {two[1] / one[1]:.2f} x")


def processor():
    names = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown"


def main():
    stages = {stage.__name__: stage for stage in (components, dbscan, integrate, field, twice)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*stages, []])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    common.basin_path()
    report = common.Report()
    print(f"processor: {processor()}; load {os.getloadavg()[0]:.1f}")
    with common.scratch() as name:
        for stage in options.names or stages:
            stages[stage](report, pathlib.Path(name), options.rounds)
    print(f"load {os.getloadavg()[0]:.1f}")
    report.finish()


if __name__ == "__main__":
    main()
