"""Runs FCRNet's and W-Net's code, written for TensorFlow 1, unchanged on current TensorFlow."""
import importlib
import os
import sys
import types

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import common  # noqa: E402
import method_side as side  # noqa: E402

numpy, tensorflow = common.modules("numpy", "tensorflow")
common.modules("tf_keras", "scipy", "skimage", "cv2", "safetensors.numpy")
tf = tensorflow.compat.v1
tf.disable_eager_execution()
tf.disable_control_flow_v2()  # gradients of loops as in TensorFlow 1
sys.modules["tensorflow"] = tf


def old_peak_local_max(image, min_distance=1, threshold_abs=None, indices=True, exclude_border=True):
    """What skimage.feature.peak_local_max gave until version 0.17 where `indices` is false: a mask of the maxima of
    squares, with zeros outside the image, and by default without those within min_distance of the border."""
    from scipy import ndimage
    assert not indices
    mask = (image == ndimage.maximum_filter(image, 2 * min_distance + 1, mode="constant")) & (image > threshold_abs)
    if not exclude_border:
        return mask
    inner = numpy.zeros_like(mask)
    inner[min_distance:-min_distance, min_distance:-min_distance] = True
    return mask & inner


def modules_of(root, *names):
    """Imports modules from a peer's folder, after unloading another peer's modules of the same names."""
    import scipy.ndimage
    import skimage.feature
    import skimage.morphology
    side.placeholders(skimage__future={}, skimage__future__graph={}, matplotlib={},
                      scipy__ndimage__morphology={"distance_transform_edt": scipy.ndimage.distance_transform_edt})
    skimage.feature.peak_local_max = old_peak_local_max
    if not hasattr(skimage.morphology, "square"):
        skimage.morphology.square = lambda n: numpy.ones((n, n), numpy.uint8)
    for name in [n for n in sys.modules if n.startswith("fn_") or n in ("postprocessing", "utils")
                 or n.startswith("utils.")]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(root))


class Graph:
    """A graph of one network with random weights in place of those that its layers begin with, in single precision or
    in double, where the losses alone stay in single."""

    def __init__(self, seed, double=False):
        tf.keras.backend.clear_session()
        tf.keras.backend.set_floatx("float64" if double else "float32")
        tf.reset_default_graph()
        self.seed, self.type = seed, tf.float64 if double else tf.float32

    def weights(self):
        """[(kernel [out,in,kh,kw], bias)] of the convolutions in the order in which they were made, after giving all of
        them random values: He's for kernels, and biases that are not 0."""
        self.session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1))
        random = numpy.random.default_rng(self.seed)
        variables = tf.trainable_variables()
        layers = []
        for kernel, bias in zip(variables[::2], variables[1::2]):
            shape = kernel.shape.as_list()
            values = random.normal(0, (2 / numpy.prod(shape[:3])) ** 0.5, shape).astype(numpy.float32)
            shift = random.normal(0, 0.1, shape[3]).astype(numpy.float32)
            kernel.load(values.astype(self.type.as_numpy_dtype), self.session)
            bias.load(shift.astype(self.type.as_numpy_dtype), self.session)
            layers.append((values.transpose(3, 2, 0, 1), shift))
        self.variables = variables
        return layers

    def run(self, what, feed):
        return self.session.run(what, feed)


def unet_names(prefix=""):
    """Basin's names of the convolutions of a U-Net, in the order in which the peers make them."""
    names = [f"{prefix}encoder_{k}.conv_{j}" for k in range(5) for j in range(2)]
    return names + [f"{prefix}decoder_{k}.{part}" for k in range(4) for part in ("up", "conv_0", "conv_1")]


def tensors(names, layers):
    """{name.weight, name.bias}."""
    assert len(names) == len(layers), (len(names), len(layers))
    return {f"{name}.{part}": value for name, layer in zip(names, layers)
            for part, value in zip(("weight", "bias"), layer)}


def gradients(graph, loss, feed):
    """{Basin's name: gradient, flat in Basin's order} of the convolutions that Basin has too."""
    wanted = [v for k in graph.indices for v in graph.variables[2 * k:2 * k + 2]]
    values = graph.run(tf.gradients(loss, wanted), feed)
    return {f"{name}.{part}": (value.transpose(3, 2, 0, 1) if part == "weight" else value).ravel()
            for name, pair in zip(graph.names, zip(values[::2], values[1::2])) for part, value in zip(("weight", "bias"), pair)}


def neighbours(process, labels, capacity=500):
    """The peer's lists of neighbours, 10 px, padded as its loader does; [N, capacity, 32]."""
    lists = []
    for each in labels:
        found = process.get_neighbor_by_distance(each, distance=10, max_neighbor=32)
        lists.append(numpy.pad(found, ((0, capacity - len(found)), (0, 0))))
    return numpy.stack(lists).astype(numpy.int32)


def cleaned(process, labels):
    """Labels as prepared by the peers: no objects below 25 px, ids without gaps."""
    return process.remove_small(labels, 25).astype(numpy.int32)


def nhwc(array):
    return numpy.ascontiguousarray(numpy.moveaxis(array, -3, -1))


def nchw(array):
    return numpy.ascontiguousarray(numpy.moveaxis(array, -1, -3))


def judge_value(report, what, ours, theirs):
    off = abs(ours - theirs) / abs(theirs)
    report.check(f"{what}: value", off <= 1e-5, f"{ours:.7g} and {theirs:.7g}, relative difference {off:.1e}")


# How Basin runs: with direct convolution, which every machine with AVX2 supports, and with the machine's default, which
# includes Winograd convolution. The latter rounds differently and switches more of the ReLUs whose input is 0 up to
# rounding.
WAYS = (("direct", {"BASIN_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "BASIN_WINOGRAD": "0"}, 1e-4), ("as chosen", {}, 1e-3))


def compare_step(report, folder, what, make, loss_of, feed_of, ask):
    """The loss of a batch and its gradient by every weight of a network, against the peer's in double precision.

    make(double): the network; loss_of(network): its loss; feed_of(network): its inputs; ask(environment, network):
    Basin's answer in the folder."""
    found = []
    for double in (True, False):
        network = make(double)
        loss, feed = loss_of(network), feed_of(network)
        found.append((float(network.run(loss, feed)), gradients(network, loss, feed)))
    (value, truth), (_, single) = found
    largest = max(numpy.abs(g).max() for g in truth.values())

    def off(found):
        return max((numpy.abs(found[name] - truth[name]).max() / largest, name) for name in truth)

    for how, environment, limit in WAYS:
        ask(environment, network)
        judge_value(report, f"{what}, {how}", float(folder.read("loss0")[0]), value)
        ours, where = off(folder.slices("learnt.txt", "gradient"))
        report.check(f"{what}, {how}: gradient", ours <= limit, f"largest difference {ours:.1e} of the largest value, limit "
                     f"{limit:.0e}, in {where}; TensorFlow in float32 {off(single)[0]:.1e}")
