"""W-Net: Basin's method `wn` against its authors' code on TensorFlow: network, targets, losses, decoding.

The code of the paper's network was never published. The peer is assembled from the authors' own parts: the U-Nets, the
concatenation and the embedding of their W-Net, and the distance head of the network that it came from, which reads the
features of the first U-Net as in the paper. Their loss counts every pixel the same (`pixel_mean`); the one of the paper,
which `pixel_mean=false` selects, is restated here.
"""
import functools

import common
import tensorflow_side as peers
from tensorflow_side import numpy, tf
import method_side as side

ROOT = side.checkout("WNET", "RYB9KP~X of looooongChen/instSeg at bc39b24", "fn_backbone.py")
PARENT = side.checkout("FCRNET", "a checkout of FCRNet (cao13jf/FCRNet)", "fn_head.py")
distance_head, = peers.modules_of(PARENT, "fn_head")
backbone, head, losses, process, postprocessing = peers.modules_of(
    ROOT, "fn_backbone", "fn_head", "fn_loss", "utils.process", "postprocessing")
WIDTH = 32


class Network(peers.Graph):
    def __init__(self, channels, embedding, seed, double=False):
        super().__init__(seed, double)
        self.image = tf.placeholder(self.type, (None, None, None, channels))
        features = backbone.build_Unet(self.image)
        # Their function makes as many features for the second U-Net as the embedding has channels.
        build = head.build_embedding_head
        head.build_embedding_head = lambda maps, embedding_dim: build(maps, embedding_dim=embedding)
        self.embedding = head.build_dist_concat(self.image, features, embedding_dim=WIDTH)
        head.build_embedding_head = build
        self.distance = distance_head.build_dist_head(features)
        layers = self.weights()
        self.names = [*peers.unet_names("first."), "forwarded", *peers.unet_names("second."), "embedding", "distance"]
        self.tensors = peers.tensors(self.names, layers)
        self.indices = range(len(layers))


def compare_network(report, folder, channels, embedding, height, width):
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = numpy.random.default_rng(height).integers(0, 256, shape, dtype=numpy.uint8)
    image = (pixels.astype(numpy.float32) / 255).reshape(1, height, width, channels)
    network = Network(channels, embedding, height)
    theirs = network.run([network.distance, network.embedding], {network.image: image})
    model = folder.model("wn", [f"channels={channels}", f"embedding={embedding}"], network.tensors)
    ours = folder.segment(model, pixels, "distance", "embedding")
    for what, a, b in zip(("distance", "embedding"), ours, theirs):
        side.judge(report, f"network, {channels} channel(s), embedding of {embedding}, {height}x{width}: {what}", a,
                   peers.nchw(b[0]), 1e-4)


def sample(size, seed):
    return numpy.stack([peers.cleaned(process, common.sample_labels(size, size, size * size // 1500, seed + k))
                        for k in range(2)])


def targets(labels):
    """The peer's distance map in floating point, deliberately without its quantisation to 8 bits."""
    return numpy.stack([process.distance_map(each, normalize=True) for each in labels]).astype(numpy.float32)


def compare_targets(report, folder, height, width, seed):
    labels = peers.cleaned(process, common.sample_labels(height, width, height * width // 1500, seed))
    middle = labels[40:-40, 40:-40]
    whole = targets(labels[None])[0]
    folder.write(labels=labels)
    # A sample from the middle, whose margin covers the whole image.
    folder.ask("targets", "wn", ["channels=1"], shape=labels.shape, crop=middle.shape)
    side.judge(report, f"distance target, {height}x{width}", folder.read("distance", middle.shape) / 10,
               whole[40:-40, 40:-40], 1e-5)
    # The whole image as in training, surrounded by pixels that do not belong to it.
    folder.write(labels=numpy.pad(labels, 1, constant_values=-1))
    folder.ask("targets", "wn", ["channels=1"], shape=[height + 2, width + 2], crop=labels.shape)
    side.judge(report, f"distance target, {height}x{width}, border included", folder.read("distance", labels.shape) / 10,
               whole, 1e-5)


def paper_loss(embedding, labels, near):
    """The paper's loss of unit vectors [N,H,W,C]: all objects, including the background, have the same weight."""
    total = 0
    for n, each in enumerate(labels):
        ids = numpy.unique(each)
        masks = [tf.constant((each == k).astype(numpy.float32)[..., None]) for k in ids]
        means = [tf.reduce_sum(embedding[n] * m, [0, 1]) / tf.reduce_sum(m) for m in masks]
        centres = [m / tf.maximum(tf.norm(m), 1e-12) for m in means]
        intra = [1 - tf.reduce_sum(c * m) for c, m in zip(centres, means)]
        inter = []
        for a in ids:
            others = [b for b in ids if b != a and (a == 0 or b == 0 or b in near[n][a - 1])]
            cosines = [tf.abs(tf.reduce_sum(centres[a] * centres[b])) for b in others]
            inter.append(tf.add_n(cosines) / len(others) if others else tf.constant(0.))
        total += (tf.add_n(intra) + tf.add_n(inter)) / len(ids)
    return total / len(labels)


def embedding_loss(embedding, labels, pixel_mean):
    near = peers.neighbours(process, labels)
    if not pixel_mean:
        return paper_loss(embedding, labels, near)
    return losses.build_embedding_loss(embedding, tf.constant(labels[..., None]), tf.constant(near), include_bg=True)[0]


def compare_loss(report, folder, size, pixel_mean, channels, seed):
    """Compares the loss of given vectors, which the loss normalises to length 1."""
    labels = sample(size, seed)
    vectors = numpy.random.default_rng(seed).normal(0, 1, (2, channels, size, size)).astype(numpy.float32)
    tf.reset_default_graph()
    given = tf.placeholder(tf.float32, (2, size, size, channels))
    loss = embedding_loss(tf.nn.l2_normalize(given, axis=-1), labels, pixel_mean)
    with tf.Session() as session:
        value, gradient = session.run([loss, tf.gradients(loss, given)[0]], {given: peers.nhwc(vectors)})
    folder.write(maps=vectors, labels=labels)
    folder.ask("loss", "wn", [f"embedding={channels}", f"pixel_mean={str(pixel_mean).lower()}"], shape=vectors.shape)
    what = f"loss of the {'code' if pixel_mean else 'paper'}, {channels} channels, {size}x{size}"
    peers.judge_value(report, what, float(folder.read("loss")[0]), float(value))
    side.judge(report, f"{what}: gradient", folder.read("gradient", vectors.shape), peers.nchw(gradient), 1e-4)


def compare_step(report, folder, size, pixel_mean, seed):
    """Compares the joint loss of distance and embedding."""
    labels = sample(size, seed)
    distance = targets(labels)
    image = (0.6 * (labels > 0) + 0.2 * numpy.random.default_rng(seed).normal(size=labels.shape)).astype(numpy.float32)
    settings = ["channels=1", f"pixel_mean={str(pixel_mean).lower()}"]

    def loss_of(network):
        return (embedding_loss(tf.cast(network.embedding, tf.float32), labels, pixel_mean)
                + losses.build_dist_loss(tf.cast(network.distance, tf.float32), tf.constant(distance[..., None])))

    def ask(environment, network):
        model = folder.model("wn", settings, network.tensors)
        folder.write(image=image, labels=labels, distance=10 * distance)
        folder.ask("train", "wn", settings, shape=[2, 1, size, size], model=str(model), environment=environment)

    peers.compare_step(report, folder, f"network and loss of the {'code' if pixel_mean else 'paper'}, {size}x{size}",
                       lambda double: Network(1, 8, seed, double), loss_of,
                       lambda network: {network.image: image[..., None]}, ask)


def compare_decoding(report, folder, height, width, seed, noise, published):
    """The steps of the peer's segment_from_seed() after its network, with the published settings, or with Basin's
    defaults: less smoothing, and seeds at the border too. The maps are noisy, so that regions meet."""
    from skimage.filters import gaussian
    random = numpy.random.default_rng(seed)
    labels = peers.cleaned(process, common.sample_labels(height, width, height * width // 1500, seed))
    distance = 10 * targets(labels[None])[0] + noise * random.random(labels.shape, numpy.float32)
    directions = numpy.vstack([numpy.eye(8)[:1], numpy.eye(8)[1 + random.permutation(len(numpy.unique(labels)) - 1) % 7]])
    vectors = directions[labels] + noise * random.normal(size=(*labels.shape, 8))
    embedding = (vectors / numpy.linalg.norm(vectors, axis=-1, keepdims=True)).astype(numpy.float32)
    smooth = gaussian(distance, sigma=3 if published else 0.5)
    postprocessing.peak_local_max = functools.partial(peers.old_peak_local_max, exclude_border=published)
    seeds = postprocessing.get_seeds(smooth, thres=0.7)
    theirs = postprocessing.mask_from_seeds(postprocessing.smooth_emb(embedding, radius=3), seeds, similarity_thres=0.7)
    theirs = postprocessing.remove_noise(theirs, smooth, min_size=10, min_intensity=0.1)
    folder.write(distance=distance, embedding=peers.nchw(embedding))
    folder.ask("decode", "wn", ["channels=1", *(("sigma=3", "border=10") if published else ())],
               maps={"distance": [1, *labels.shape], "embedding": [8, *labels.shape]})
    report.equal(f"decoding, {'published' if published else 'default'}, {height}x{width}, noise {noise}, {theirs.max()} objects",
                 folder.read("labels", labels.shape, numpy.int32), theirs.astype(numpy.int32))


def main():
    common.basin_path()
    side.program()
    report = common.Report()
    with common.scratch() as name:
        folder = side.Folder(name)
        compare_targets(report, folder, 160, 200, seed=1)
        for seed, (height, width, noise) in enumerate(((128, 128, 0.1), (200, 333, 0.3), (256, 192, 0.5))):
            for published in (True, False):
                compare_decoding(report, folder, height, width, seed + 1, noise, published)
        for pixel_mean in (True, False):
            for seed, (size, channels) in enumerate(((64, 8), (128, 16))):
                compare_loss(report, folder, size, pixel_mean, channels, seed + 1)
        for channels, embedding, height, width in ((1, 32, 64, 64), (3, 8, 80, 112)):
            compare_network(report, folder, channels, embedding, height, width)
        for pixel_mean in (True, False):
            compare_step(report, folder, 64, pixel_mean, seed=3)
    report.finish()


if __name__ == "__main__":
    main()
