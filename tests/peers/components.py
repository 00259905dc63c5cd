"""Connected components: `basin components` against scipy.ndimage.label, label for label."""
import pathlib

import common

numpy = common.modules("numpy")
ndimage = common.modules("scipy.ndimage")
common.modules("PIL.Image")


def main():
    common.basin_path()
    report = common.Report()
    random = numpy.random.default_rng(0)
    cases = {f"random {height}x{width} at {density}": random.random((height, width)) < density
             for height, width in ((64, 64), (257, 131), (1, 300), (300, 1)) for density in (0.1, 0.4, 0.6, 0.9)}
    spiral = numpy.zeros((101, 101), bool)
    for ring in range(0, 50, 4):
        spiral[ring, ring:101 - ring] = spiral[ring:101 - ring, 100 - ring] = True
        spiral[100 - ring, ring:101 - ring] = spiral[ring + 2:101 - ring, ring] = True
        spiral[ring + 2, ring:ring + 4] = True
    cases |= {"spiral": spiral, "empty": spiral & False, "full": spiral | True,
              "checkerboard": numpy.indices((60, 61)).sum(axis=0) % 2 == 0}
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for title, mask in cases.items():
            common.write_picture(folder / "mask.png", mask.astype(numpy.uint8) * 255)
            for connectivity in (4, 8):
                theirs, _ = ndimage.label(mask, numpy.ones((3, 3)) if connectivity == 8 else None)
                common.basin("components", folder / "mask.png", "--connectivity", connectivity, "--out",
                             folder / "labels.npy")
                report.equal(f"{title}, {connectivity} neighbours", numpy.load(folder / "labels.npy"), theirs)
    report.finish()


if __name__ == "__main__":
    main()
