"""EmbedSeg: Basin's method `es` against EmbedSeg's own code on PyTorch: network, eight views, centres, loss, decoding,
training steps.

Weights, batch-norm statistics and biases are random, so that a skipped one is noticed. EmbedSeg's code is run from a
checkout and never copied, because its licence excludes commercial use.
"""
import contextlib
import copy
import functools
import io
import sys

import common
import method_side as side

numpy, torch = common.modules("numpy", "torch")
common.modules("safetensors.numpy", "skimage", "scipy", "numba", "matplotlib", "seaborn", "pandas", "tqdm", "tifffile")
sys.path.insert(0, str(side.checkout("EMBEDSEG", "a checkout of EmbedSeg (juglab/EmbedSeg)", "EmbedSeg/models/erfnet.py")))
import scipy.ndimage  # noqa: E402
side.placeholders(pycocotools={}, pycocotools__mask={},
                  scipy__ndimage__measurements={"find_objects": scipy.ndimage.find_objects},
                  scipy__ndimage__morphology={"binary_fill_holes": scipy.ndimage.binary_fill_holes})
if not hasattr(numpy, "bool"):
    numpy.bool = bool
from EmbedSeg.criterions.my_loss import SpatialEmbLoss  # noqa: E402
from EmbedSeg.models.BranchedERFNet import BranchedERFNet  # noqa: E402
from EmbedSeg.utils import test_time_augmentation  # noqa: E402
from EmbedSeg.utils.generate_crops import generate_center_image  # noqa: E402
from EmbedSeg.utils import utils  # noqa: E402

test_time_augmentation.to_cuda = lambda image: torch.from_numpy(image[None].copy()).float()
# By a default of scikit-image the peer ignores local maxima at the image border, where objects would be lost.
utils.peak_local_max = functools.partial(utils.peak_local_max, exclude_border=False)
torch.Tensor.cuda = lambda self, *_, **__: self  # the peer moves the eight views to a GPU, wherever the image is


@contextlib.contextmanager
def in_double():
    """While active, the peer's .float() returns doubles, so that its loss is computed in double precision."""
    single = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = single


def quietly(f, *arguments, **named):
    with contextlib.redirect_stdout(io.StringIO()):
        return f(*arguments, **named)


def random_network(channels, seed):
    torch.manual_seed(seed)
    network = quietly(BranchedERFNet, [4, 1], channels)
    common.randomise_batch_norm(network)
    return network.eval()


def tensors_of(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


def compare_network(report, folder, channels, height, width):
    network = random_network(channels, seed=height + channels)
    model = folder.model("es", [f"channels={channels}"], tensors_of(network))
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = numpy.random.default_rng(height).integers(0, 256, shape, dtype=numpy.uint8)
    batch = torch.from_numpy(pixels).float().reshape(1, height, width, channels).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        one, eight = network(batch)[0].numpy(), test_time_augmentation.apply_tta_2d(batch, network)[0].numpy()
    for name, views, theirs in (("one view", "false", one), ("eight views", "true", eight)):
        raw, = folder.segment(model, pixels, "raw", options=("--set", f"views={views}"))
        side.judge(report, f"network, {channels} channel(s) {height}x{width}, {name}", raw, theirs, 1e-4)


def centre_images(labels, kind):
    """The peer's images of marked centres, without marks that lie in a different object, because the peer's loss would
    use them as that object's centre."""
    images = numpy.zeros(labels.shape, bool)
    for image, each in zip(images, labels):
        for k in numpy.unique(each[each > 0]):
            image |= generate_center_image(each, kind, [k], False) & (each == k)
    return images


def peer_loss(raw, labels, centres):
    instances = torch.from_numpy(labels).short()
    criterion = quietly(SpatialEmbLoss, n_sigma=2, foreground_weight=10).to(raw.dtype)
    with in_double() if raw.dtype == torch.float64 else contextlib.nullcontext():
        return criterion(raw, instances, (instances > 0).short(), torch.from_numpy(centres))


def random_maps(labels, seed, spread):
    """Raw maps that point near the centre of each object, with noise; margins of about 5 px."""
    random = numpy.random.default_rng(seed)
    raw = random.normal(0, 1, (len(labels), 5, *labels.shape[1:])).astype(numpy.float32)
    raw[:, :2] *= spread / 1023
    raw[:, 2:4] = 1 + 0.1 * raw[:, 2:4]
    y, x = numpy.mgrid[:labels.shape[1], :labels.shape[2]]
    for n, each in enumerate(labels):
        for k in numpy.unique(each[each > 0]):
            inside = each == k
            raw[n, 0][inside] += numpy.arctanh((x[inside].mean() - x[inside]) / 1023)
            raw[n, 1][inside] += numpy.arctanh((y[inside].mean() - y[inside]) / 1023)
        raw[n, 4] += numpy.where(each > 0, 2.5, -2.5)
    return raw


def compare_loss(report, folder, size, kind, spread, seed):
    labels = numpy.stack([common.sample_labels(size, size, size * size // 1500, seed + k) for k in range(2)])
    labels[1] *= seed % 3 != 0  # some crops have no objects
    maps = random_maps(labels, seed, spread)
    centres = centre_images(labels, kind)
    raw = torch.from_numpy(maps).requires_grad_(True)
    value = peer_loss(raw, labels, centres)
    value.backward()
    exact = torch.from_numpy(maps).double().requires_grad_(True)
    peer_loss(exact, labels, centres).backward()
    folder.write(maps=maps, labels=labels)
    folder.ask("loss", "es", [f"centre={kind.replace('-', '_')}"], shape=maps.shape)
    ours, gradient = float(folder.read("loss")[0]), folder.read("gradient", maps.shape)
    name = f"loss, {kind}, {size}x{size}, spread {spread} px"
    off = abs(ours - value.item()) / abs(value.item())
    report.check(f"{name}: value", off <= 1e-5, f"{ours:.7g} and {value.item():.7g}, relative difference {off:.1e}")
    side.judge(report, f"{name}: gradient, peer in double", gradient, exact.grad.numpy(), 1e-4)
    theirs = numpy.abs(raw.grad.numpy() - exact.grad.numpy()).max() / numpy.abs(exact.grad.numpy()).max()
    print(f"     the peer's own float32 gradient is {theirs:.1e} off its double one")


def compare_decoding(report, folder, height, width, seed, spread, seeds):
    labels = common.sample_labels(height, width, height * width // 1200, seed)
    maps = random_maps(labels[None], seed, spread)[0]
    cluster = utils.Cluster(1024, 1024, 1, 1, "cpu")
    decode = cluster.cluster if seeds == "seed_map" else cluster.cluster_local_maxima
    theirs = decode(torch.from_numpy(maps), n_sigma=2, min_object_size=36).numpy().astype(int)
    folder.write(raw=maps)
    folder.ask("decode", "es", [f"seeds={seeds}"], maps={"raw": maps.shape})
    ours = folder.read("labels", labels.shape, numpy.int32)
    different = side.different_pixels(ours, theirs)
    report.check(f"decoding, {seeds}, {height}x{width}, spread {spread} px", different == 0,
                 f"{len(numpy.unique(theirs)) - 1} objects, {different} pixels differ")


class GivenDropout(torch.nn.Module):
    """Multiplies the channels by the factors of Basin's dropout in step `step`."""

    def __init__(self, folder, layer, channels, p):
        super().__init__()
        self.folder, self.layer, self.channels, self.p, self.step = folder, layer, channels, p, 0

    def forward(self, x):
        mask = self.folder.read(f"dropout{self.layer}-{self.step}", (len(x), self.channels, 1, 1))
        return x * torch.from_numpy(mask).to(x.dtype)


def compare_training(report, folder, size, environment, way, limits):
    network = random_network(1, seed=size).train()
    model = folder.model("es", [], tensors_of(network))
    labels = numpy.stack([common.sample_labels(size, size, size * size // 1500, 1 + k) for k in range(2)])
    image = 0.6 * (labels > 0) + 0.2 * numpy.random.default_rng(0).normal(size=labels.shape)
    image = image.astype(numpy.float32)[:, None]
    dropouts, given = [], []
    for block in network.encoder.layers:
        if hasattr(block, "dropout"):
            channels = block.bn2.num_features
            given.append(GivenDropout(folder, len(given), channels, block.dropout.p))
            block.dropout = given[-1]
            dropouts.append({"p": given[-1].p, "layer": given[-1].layer, "shape": [2, channels, 1, 1], "channels": True})
    steps, rate = len(limits), 5e-4
    folder.write(image=image, labels=labels)
    folder.ask("train", "es", shape=image.shape, model=str(model), steps=steps, rate=rate, dropout=dropouts,
               environment=environment)
    exact = copy.deepcopy(network).double()
    centres = centre_images(labels, "medoid")
    peer_loss(exact(torch.from_numpy(image).double()), labels, centres).backward()
    truth = {name: value.grad.numpy().ravel() for name, value in exact.named_parameters() if value.grad is not None}
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=1e-4)
    case = f"training {size}x{size}, {way}"
    for step in range(steps):
        for dropout in given:
            dropout.step = step
        optimizer.zero_grad()
        value = peer_loss(network(torch.from_numpy(image)), labels, centres)
        value.backward()
        if step == 0:
            ours = folder.slices("learnt.txt", "gradient")
            theirs = {name: value.grad.numpy().ravel() for name, value in network.named_parameters() if name in truth}
            report.check(f"{case}: names of parameters", set(ours) == set(truth))
            size_of = numpy.sqrt(sum((truth[name] ** 2).sum() for name in truth))
            off = [numpy.sqrt(sum(((a[name] - truth[name]) ** 2).sum() for name in truth)) / size_of for a in (ours, theirs)]
            report.check(f"{case}: gradient of all parameters", off[0] <= 1e-2,
                         f"off by {off[0]:.1e} in norm; PyTorch in float32 {off[1]:.1e}")
            buffers = dict(network.named_buffers())
            for name, running in folder.slices("statistics.txt", "running").items():
                worst = numpy.abs(running - buffers[name].numpy().ravel()).max()
                if worst > 1e-5 * max(1, buffers[name].abs().max().item()):
                    report.check(f"{case}: {name}", False, f"off by {worst:.1e}")
        optimizer.step()
        ours = float(folder.read(f"loss{step}")[0])
        off = abs(ours - value.item()) / abs(value.item())
        report.check(f"{case}: loss of step {step}", off <= limits[step],
                     f"{ours:.6f} and {value.item():.6f}, relative difference {off:.1e}")


def main():
    common.basin_path()
    side.program()
    torch.set_num_threads(1)
    report = common.Report()
    with common.scratch() as name:
        folder = side.Folder(name)
        for channels, height, width in ((1, 64, 64), (1, 96, 136), (3, 72, 104)):
            compare_network(report, folder, channels, height, width)
        for k, kind in enumerate(("medoid", "approximate-medoid", "centroid")):
            for size, spread in ((64, 2), (128, 6)):
                compare_loss(report, folder, size, kind, spread, seed=10 * k + size)
        for seeds in ("seed_map", "local_maxima"):
            for seed, (height, width, spread) in enumerate(((128, 128, 1), (200, 333, 2), (256, 192, 4))):
                compare_decoding(report, folder, height, width, seed + 5, spread, seeds)
        # Early Adam steps follow a gradient's sign, however small the gradient is, so that rounding errors grow fast.
        limits = (1e-5, 2e-2, 2e-2)
        for way, environment in (("direct", {"BASIN_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "BASIN_WINOGRAD": "0"}), ("as chosen", {})):
            compare_training(report, folder, 64, environment, way, limits)
    report.finish()


if __name__ == "__main__":
    main()
