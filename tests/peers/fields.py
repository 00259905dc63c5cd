"""Vector fields of label images: `basin field` against torchvf's SDF field (seung-lab edt) and its affinity field."""
import pathlib

import common

numpy, torch = common.modules("numpy", "torch")
common.modules("edt", "PIL.Image")
common.use_torchvf()
from torchvf.numerics import affinity_vf, compute_vector_field  # noqa: E402


def basin_field(folder, labels, *options):
    common.write_picture(folder / "labels.png", labels.astype(numpy.uint16))
    common.basin("field", folder / "labels.png", *options, "--out", folder / "field.npy")
    return numpy.load(folder / "field.npy")


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for height, width, count, seed in ((120, 160, 25, 0), (257, 131, 40, 1), (40, 40, 1, 2), (9, 300, 12, 3)):
            labels = common.sample_labels(height, width, count, seed)
            tensor = torch.from_numpy(labels)
            for truncate, kernel in ((10, 11), (5, 7)):
                theirs = compute_vector_field(tensor[None], kernel, alpha=truncate).numpy()
                ours = basin_field(folder, labels, "--kind", "sdf", "--truncate", truncate, "--kernel", kernel)
                report.close(f"sdf {height}x{width} truncate {truncate} kernel {kernel}", ours, theirs, 1e-5)
            for kernel in (11, 19):
                theirs = affinity_vf(tensor[None, None], kernel)[0].numpy()
                ours = basin_field(folder, labels, "--kind", "affinity", "--kernel", kernel)
                report.close(f"affinity {height}x{width} kernel {kernel}", ours, theirs, 1e-6)
    report.finish()


if __name__ == "__main__":
    main()
