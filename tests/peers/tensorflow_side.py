"""FCRNet's and W-Net's code, written for TensorFlow 1, on today's TensorFlow: as it is, under another module name."""
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
tf.disable_control_flow_v2()  # gradients of loops as TensorFlow 1 had them
sys.modules["tensorflow"] = tf


def old_peak_local_max(image, min_distance=1, threshold_abs=None, indices=True):
    """What skimage.feature.peak_local_max gave until version 0.17 where `indices` is false: a mask of the maxima of
    squares, outside of which lie zeros, without those that lie within min_distance of the border."""
    from scipy import ndimage
    assert not indices
    mask = (image == ndimage.maximum_filter(image, 2 * min_distance + 1, mode="constant")) & (image > threshold_abs)
    inner = numpy.zeros_like(mask)
    inner[min_distance:-min_distance, min_distance:-min_distance] = True
    return mask & inner


def modules_of(root, *names):
    """Modules of a peer's folder. Those of another peer, which have the same names, are forgotten first."""
    import scipy.ndimage
    import skimage.feature
    side.placeholders(skimage__future={}, skimage__future__graph={}, skimage__morphology__square={}, matplotlib={},
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
    """A graph of one network with random weights in place of those that its layers begin with."""

    def __init__(self, seed):
        tf.keras.backend.clear_session()
        tf.reset_default_graph()
        self.seed = seed

    def weights(self, keep=lambda index: True):
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
            kernel.load(values, self.session)
            bias.load(shift, self.session)
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


def gradients(graph, names, indices, loss, feed):
    """{Basin's name: gradient, flat in Basin's order} of some of the graph's convolutions."""
    wanted = [v for k in indices for v in graph.variables[2 * k:2 * k + 2]]
    values = graph.run(tf.gradients(loss, wanted), feed)
    return {f"{name}.{part}": (value.transpose(3, 2, 0, 1) if part == "weight" else value).ravel()
            for name, pair in zip(names, zip(values[::2], values[1::2])) for part, value in zip(("weight", "bias"), pair)}


def neighbours(process, labels, capacity=500):
    """The peer's lists of neighbours, 10 px, padded as its loader does; [N, capacity, 32]."""
    lists = []
    for each in labels:
        found = process.get_neighbor_by_distance(each, distance=10, max_neighbor=32)
        lists.append(numpy.pad(found, ((0, capacity - len(found)), (0, 0))))
    return numpy.stack(lists).astype(numpy.int32)


def cleaned(process, labels):
    """As the peers prepare them: no objects below 25 px, ids without gaps."""
    return process.remove_small(labels, 25).astype(numpy.int32)


def nhwc(array):
    return numpy.ascontiguousarray(numpy.moveaxis(array, -3, -1))


def nchw(array):
    return numpy.ascontiguousarray(numpy.moveaxis(array, -1, -3))
