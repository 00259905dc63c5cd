"""FCRNet: Basin's method `fc` against its authors' code on TensorFlow: network, loss, decoding.

The activation differs in two ways on purpose, so that no pixel's gradient vanishes. Basin adds 1e-4 to every |e| before
the power, and takes powers relative to the largest |e|. The peer's sum of powers is at least 1e-7, which pixels with all
|e| below 0.13 do not reach at alpha 8. For the comparison the peer's power is changed in the same way, and the
difference from the unchanged power is printed.
The settings are the published ones: 4 colours, and a loss without a guide.
"""
import common
import tensorflow_side as peers
from tensorflow_side import numpy, tf
import method_side as side

FLOOR, COLOURS = 1e-4, 4
PUBLISHED = [f"colours={COLOURS}", "radius=10", "inter_weight=4", "guide_weight=0", "min_size=0"]
ROOT = side.checkout("FCRNET", "a checkout of FCRNet (cao13jf/FCRNet)", "fn_backbone.py")
backbone, head, losses, process, postprocessing = peers.modules_of(
    ROOT, "fn_backbone", "fn_head", "fn_loss", "utils.process", "postprocessing")


class Floored:
    """TensorFlow whose power adds 1e-4 to |e| and divides by the largest. The common factor cancels in the peer's
    quotient of such powers, and their sum is at least 1, above the peer's lower bound."""
    on = True

    def __getattr__(self, name):
        return getattr(tf, name)

    def pow(self, e, alpha):
        if not self.on:
            return tf.pow(e, alpha)
        e = e + FLOOR * tf.where(e >= 0, tf.ones_like(e), -tf.ones_like(e))
        return tf.pow(e / tf.stop_gradient(tf.reduce_max(tf.abs(e), axis=-1, keepdims=True)), alpha)


head.tf = Floored()


class Network(peers.Graph):
    """The published network: of its two decoders the second is never used."""

    def __init__(self, channels, seed, floored=True, double=False):
        super().__init__(seed, double)
        head.tf.on = floored
        self.image = tf.placeholder(self.type, (None, None, None, channels))
        self.alpha = tf.placeholder(self.type, ())
        features, _ = backbone.build_doubleHead(self.image, features=16)
        self.colours = head.build_embedding_head(features, self.alpha, COLOURS)
        layers = self.weights()
        # Encoder, then the two decoders step by step in turn: up, conv, conv of the first, then of the second.
        self.indices = [*range(10), *(10 + 6 * k + j for k in range(4) for j in range(3)), len(layers) - 1]
        self.names = [*peers.unet_names(), "colours"]
        self.tensors = peers.tensors(self.names, [layers[k] for k in self.indices])


def compare_network(report, folder, channels, height, width):
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = numpy.random.default_rng(height).integers(0, 256, shape, dtype=numpy.uint8)
    image = (pixels.astype(numpy.float32) / 255).reshape(1, height, width, channels)
    for floored in (True, False):
        network = Network(channels, height, floored)
        theirs = peers.nchw(network.run(network.colours, {network.image: image, network.alpha: 8})[0])
        if floored:
            model = folder.model("fc", [f"channels={channels}", f"colours={COLOURS}"], network.tensors)
            ours, = folder.segment(model, pixels, "colours")
            side.judge(report, f"network, {channels} channel(s) {height}x{width}", ours, theirs, 1e-4)
        else:
            off = numpy.abs(ours - theirs).max(0)
            same = (ours.argmax(0) == theirs.argmax(0)).mean()
            print(f"     against the peer's own power: {off.max():.1e}, in {(off <= 1e-3).mean():.2%} of the pixels at most "
                  f"1e-3; {same:.2%} have the same colour")


def sample(size, seed):
    return numpy.stack([peers.cleaned(process, common.sample_labels(size, size, size * size // 1500, seed + k))
                        for k in range(2)])


def compare_loss(report, folder, size, alpha, seed):
    """Compares the loss of given scores; the head's convolution is set to pass them through."""
    labels = sample(size, seed)
    scores = numpy.random.default_rng(seed).normal(0, 1, (2, COLOURS, size, size)).astype(numpy.float32)
    graph = peers.Graph(seed)
    head.tf.on = True
    given, power = tf.placeholder(tf.float32, (2, size, size, COLOURS)), tf.placeholder(tf.float32, ())
    h = head.build_embedding_head(given, power, COLOURS)
    loss = losses.build_embedding_loss(h, tf.constant(labels[..., None]),
                                       tf.constant(peers.neighbours(process, labels)), include_bg=True)
    graph.weights()
    through = numpy.zeros((3, 3, COLOURS, COLOURS), numpy.float32)
    through[1, 1] = numpy.eye(COLOURS)
    graph.variables[0].load(through, graph.session)
    graph.variables[1].load(numpy.zeros(COLOURS, numpy.float32), graph.session)
    value, gradient = graph.run([loss, tf.gradients(loss, given)[0]], {given: peers.nhwc(scores), power: alpha})
    folder.write(maps=scores, labels=labels)
    folder.ask("loss", "fc", PUBLISHED, shape=scores.shape, scheduled=alpha)
    what = f"loss, alpha {alpha}, {size}x{size}"
    peers.judge_value(report, what, float(folder.read("loss")[0]), float(value))
    side.judge(report, f"{what}: gradient", folder.read("gradient", scores.shape), peers.nchw(gradient), 1e-4)


def compare_step(report, folder, size, alpha, seed):
    labels = sample(size, seed)
    image = (0.6 * (labels > 0) + 0.2 * numpy.random.default_rng(seed).normal(size=labels.shape)).astype(numpy.float32)
    near = peers.neighbours(process, labels)

    def loss_of(network):
        return losses.build_embedding_loss(tf.cast(network.colours, tf.float32), tf.constant(labels[..., None]),
                                           tf.constant(near), include_bg=True)

    def ask(environment, network):
        model = folder.model("fc", PUBLISHED, network.tensors)
        folder.write(image=image, labels=labels)
        folder.ask("train", "fc", PUBLISHED, shape=[2, 1, size, size], model=str(model), scheduled=alpha,
                   environment=environment)

    peers.compare_step(report, folder, f"network and loss, alpha {alpha}, {size}x{size}",
                       lambda double: Network(1, seed, double=double), loss_of,
                       lambda network: {network.image: image[..., None], network.alpha: alpha}, ask)


def compare_decoding(report, folder, height, width, seed, spread):
    """The peer's colour map, and the components of each colour, which the paper describes but its code omits."""
    from scipy import ndimage, stats
    from skimage.measure import label
    random = numpy.random.default_rng(seed)
    maps = ndimage.gaussian_filter(random.normal(size=(COLOURS, height, width)), (0, spread, spread))
    maps[1] += 0.5 * maps.std()
    h = (maps ** 2 / (maps ** 2).sum(0)).astype(numpy.float32)
    colours = numpy.argmax(h, axis=0)
    background = int(stats.mode(colours, axis=None).mode)
    objects = numpy.where(colours == background, 0, colours + 1)
    theirs = label(objects, background=0, connectivity=2)
    folder.write(colours=h)
    folder.ask("decode", "fc", PUBLISHED, maps={"colours": h.shape})
    report.equal(f"decoding, {height}x{width}, {theirs.max()} objects", folder.read("labels", theirs.shape, numpy.int32),
                 theirs.astype(numpy.int32))


def main():
    common.basin_path()
    side.program()
    report = common.Report()
    with common.scratch() as name:
        folder = side.Folder(name)
        for channels, height, width in ((1, 64, 64), (1, 96, 144), (3, 80, 112)):
            compare_network(report, folder, channels, height, width)
        for seed, (size, alpha) in enumerate(((64, 2), (128, 2), (128, 4), (128, 8))):
            compare_loss(report, folder, size, alpha, seed + 1)
        for seed, (size, alpha) in enumerate(((64, 2), (128, 8))):
            compare_step(report, folder, size, alpha, seed + 1)
        for seed, (height, width, spread) in enumerate(((64, 64, 3), (200, 333, 4), (256, 192, 8))):
            compare_decoding(report, folder, height, width, seed, spread)
    report.finish()


if __name__ == "__main__":
    main()
