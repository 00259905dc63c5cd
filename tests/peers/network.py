"""H1 and H2 with random weights: Basin's logit and field against torchvf's own network, whole image and tiled.

The weights travel as a torchvf state_dict in a .safetensors file without Basin's metadata, the way a converted torchvf
checkpoint arrives. Batch-norm statistics and affine terms are random too, so that a skipped one shows.
"""
import pathlib

import common

numpy, torch, safetensors_torch = common.modules("numpy", "torch", "safetensors.torch")
image_module = common.modules("PIL.Image")
common.use_torchvf()
from torchvf.models import get_model  # noqa: E402
from torchvf.utils.tiling import get_tiler  # noqa: E402

TOLERANCE = 1e-4


def random_network(kind, channels, seed):
    torch.manual_seed(seed)
    network = get_model(kind, in_channels=channels).eval()
    common.randomise_batch_norm(network)
    return network


def segment(model, image, out, *options):
    """Basin's maps of one image: logit [1,H,W] and field [2,H,W]."""
    common.basin("segment", image, "--model", model, "--out", out, "--save", "field,logit", "--norm", "divide",
                 "--device", "cpu", *options)
    maps = []
    for name in ("logit", "field"):
        files = sorted(pathlib.Path(out).glob(f"*{name}*.npy"))
        if len(files) != 1:
            raise SystemExit(f"failed: expected one *{name}*.npy in {out}, found {[f.name for f in files]}")
        array = numpy.load(files[0])
        maps.append(array.reshape(-1, *array.shape[-2:]))
    return maps


def compare(report, folder, kind, channels, height, width, tile, overlap):
    network = random_network(kind, channels, seed=height + channels)
    model = folder / f"{kind}-{channels}.safetensors"
    safetensors_torch.save_file(network.state_dict(), model)
    generator = numpy.random.default_rng(height)
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = generator.integers(0, 256, shape, dtype=numpy.uint8)
    picture = folder / f"picture-{channels}-{height}x{width}.png"
    image_module.fromarray(pixels).save(picture)
    batch = torch.from_numpy(pixels).float().reshape(1, height, width, channels).permute(0, 3, 1, 2) / 255

    options = ["--tile", tile, "--overlap", overlap, "--tiling", "dynamic"]
    run = network
    if not overlap:
        options = ["--tile", tile, "--tiling", "exact"]
    else:
        run = get_tiler("dynamic_overlap")(network, tile_size=(tile, tile), overlap=overlap)
    with torch.inference_mode():
        expected = [maps[0].numpy() for maps in run(batch)]
    out = folder / f"out-{kind}-{channels}-{height}x{width}-{tile}-{overlap}"
    name = f"{kind} {channels} channel(s) {height}x{width} " + (f"tiles {tile}-{overlap}" if overlap else "one tile")
    for what, ours, theirs in zip(("logit", "field"), segment(model, picture, out, *options), expected):
        report.close(f"{name} {what}", ours, theirs, TOLERANCE)


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for kind in ("h1", "h2"):
            for channels in (1, 3):
                compare(report, folder, kind, channels, 96, 136, tile=512, overlap=0)
        compare(report, folder, "h1", 1, 256, 256, tile=256, overlap=0)
        compare(report, folder, "h1", 1, 200, 333, tile=96, overlap=20)
        compare(report, folder, "h2", 1, 70, 150, tile=96, overlap=20)
    report.finish()


if __name__ == "__main__":
    main()
