"""Object-guided segmentation: Basin's method `og` against its authors' code on PyTorch: network, masks in boxes, targets,
losses, a training step, boxes and objects from equal maps.

The weights of the first comparison travel as a state_dict of the authors' network in a .safetensors file, the way a
converted checkpoint arrives. Batch-norm statistics and affine terms are random, so that a skipped one shows. The random
points at which masks are refined are drawn by Basin and given to the peer, which chooses among them itself.
"""
import copy
import sys
import types
import warnings

import common
import method_side as side

numpy, torch = common.modules("numpy", "torch")
common.modules("scipy.ndimage", "skimage", "cv2", "safetensors.torch", "PIL.Image")
ROOT = side.checkout("OBJGUIDED", "a checkout of yijingru/ObjGuided-Instance-Segmentation", "models/network.py")
sys.path.insert(0, str(ROOT))
side.placeholders(matplotlib={}, matplotlib__pyplot={})
from datasets import affine_funcs, base_dataset, pre_proc  # noqa: E402
from decoder import DecDecoder  # noqa: E402
from loss import CtdetLoss  # noqa: E402
from models import network as networks  # noqa: E402
import module as peer  # noqa: E402

DOWN = 4


class NumpyInDouble:
    """numpy with float64 in place of float32, so that the peer's grids and masks are in double precision, too."""
    float32 = numpy.float64

    def __getattr__(self, name):
        return getattr(numpy, name)


class NumpyWithRaggedTake:
    """numpy with a `take` that accepts lists of arrays of different shapes, as older releases did."""

    def __getattr__(self, name):
        return getattr(numpy, name)

    def take(self, values, indices, axis):
        return [values[i] for i in indices] if isinstance(values, list) else numpy.take(values, indices, axis=axis)


class CentredNearest:
    """cv2 whose `resize` uses nearest neighbours, an option that the peer passes at the wrong position."""
    INTER_NEAREST = None

    def resize(self, mask, shape, *_):
        rows, columns = (((numpy.arange(to) + 0.5) * of / to).astype(int) for of, to in zip(mask.shape, shape[::-1]))
        return mask[rows][:, columns]


def set_precision(dtype):
    for module in (networks, affine_funcs, base_dataset):
        module.np = NumpyInDouble() if dtype == torch.float64 else numpy


set_precision(torch.float64)
peer.np, peer.cv2 = NumpyWithRaggedTake(), CentredNearest()


def peer_network():
    return networks.Network({"hm": 1, "wh": 2, "reg": 2}, pretrained=False, down_ratio=DOWN, final_kernel=1, head_conv=256)


def random_network(seed):
    torch.manual_seed(seed)
    network = peer_network()
    common.randomise_batch_norm(network)
    return network.double()


def write_weights(folder, network):
    from safetensors.torch import save_file
    save_file({name: value.float().contiguous() if value.is_floating_point() else value
               for name, value in network.state_dict().items()}, folder.path / "state_dict.safetensors")


def calibrate(network, image):
    """Changes the last layer of each head so that there are boxes of some 40 to 60 px with scores around one half."""
    wanted = {"hm": ([0], 1.5), "wh": ([15, 10], 2), "reg": ([0.5, 0.5], 0.3)}
    with torch.no_grad():
        features = network.forward_dec(image)["feat"][2]
        for name, (mean, spread) in wanted.items():
            head = getattr(network, name)
            last, values = head[-1], head(features)[0].flatten(1)
            factor = spread / values.std(1)
            last.bias.copy_((last.bias - values.mean(1)) * factor + torch.tensor(mean))
            last.weight.mul_(factor[:, None, None, None])
            for parameter in last.parameters():  # rounded as in Basin's model file
                parameter.copy_(parameter.float())


def compare_network(report, folder, network, height, width, options):
    """Compares the maps, and the masks of 20 boxes, with the peer's in double precision."""
    pixels = numpy.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    heat, size, offset, boxes, masks = folder.segment(folder.path / "state_dict.safetensors", pixels, "heat", "size",
                                                      "offset", "boxes", "box_probability", options=options)
    batch = torch.from_numpy(pixels).double().permute(2, 0, 1)[None] / 255 - 0.5
    boxes, masks = boxes[0].astype(float), masks[0, 0]
    boxes = boxes[boxes[:, 4] > 0]  # the others are left out, and have no masks
    ends = numpy.cumsum([(1.1 * box[2:4]).astype(int).prod() for box in boxes])
    some = numpy.unique(numpy.linspace(0, len(boxes) - 1, 20).astype(int))

    def peer_maps(dtype):
        set_precision(dtype)
        with torch.inference_mode():
            maps = network.to(dtype).forward_dec(batch.to(dtype))
            rois = network.forward_seg_test({"pr_bboxes": boxes[some]}, maps)["pr_rois"]
        return maps, numpy.concatenate([roi.numpy().ravel() for roi in rois])

    single = peer_maps(torch.float32)[1]
    maps, theirs = peer_maps(torch.float64)
    what = f"network, {height}x{width}"
    probability = 1 / (1 + numpy.exp(-heat.astype(float)))
    side.judge(report, f"{what}: probabilities of centres", probability, maps["hm"][0].numpy(), 1e-4)
    side.judge(report, f"{what}: sizes", size, maps["wh"][0].numpy(), 1e-4)
    side.judge(report, f"{what}: offsets", offset, maps["reg"][0].numpy(), 1e-4)
    ours = numpy.concatenate([masks[end - (1.1 * boxes[k, 2:4]).astype(int).prod():end] for k, end in zip(some, ends[some])])
    side.judge(report, f"{what}: masks in {len(some)} of {len(boxes)} boxes", ours, theirs, 1e-4)
    print(f"     the peer's own float32 masks are {numpy.abs(single - theirs).max() / theirs.max():.1e} off its double ones")
    report.check(f"{what}: maps and masks vary", probability.std() > 0.01 and theirs.std() > 0.01,
                 f"by {probability.std():.3f} and {theirs.std():.3f}")


class Targets:
    """The peer's targets of labels [N,H,W]: the boxes and masks of the objects of each sample, and maps in double precision."""

    def __init__(self, labels):
        dataset = object.__new__(base_dataset.BaseDataset)
        self.boxes, self.rois, maps = [], [], []
        for each in labels:
            masks = [(each == k).astype(float) for k in range(1, each.max() + 1)]
            boxes, rois = dataset.masks_to_bboxes_rois(masks)
            boxes = boxes.reshape(-1, 4)
            self.boxes.append(boxes)
            self.rois.append(rois)
            maps.append(pre_proc.generate_ground_truth(boxes / DOWN, 1, each.shape[0] // DOWN, each.shape[1] // DOWN, 500))
        self.maps = {name: torch.from_numpy(numpy.stack([each[name] for each in maps])) for name in maps[0]}
        for name in ("hm", "wh", "reg"):
            self.maps[name] = self.maps[name].double()


class Truth(Targets):
    """These targets, and Basin's regions of the boxes of all samples."""

    def __init__(self, folder, labels):
        super().__init__(labels)
        rows = [[n, *box] for n, boxes in enumerate(self.boxes) for box in boxes]
        self.sizes = [roi.shape for rois in self.rois for roi in rois]
        self.source, self.draws = numpy.zeros(0, int), {}
        if not rows:
            return
        folder.write(boxes=numpy.array(rows))
        folder.ask("regions", "og", count=len(rows))
        self.source = folder.read("source", kind=numpy.int32)
        drawn, at = folder.read("drawn", (-1, 2), numpy.float64), 0
        for box in self.source:
            count = 3 * (self.sizes[box][0] * self.sizes[box][1] // 8)
            self.draws[int(box)] = drawn[at:at + count]
            at += count

    def by_box(self, values):
        """{box: [h,w]} of values at the points of Basin's regions."""
        found, at = {}, 0
        for box in self.source:
            h, w = self.sizes[box]
            found[int(box)] = values[at:at + h * w].reshape(h, w)
            at += h * w
        return found


def samples(size, seed):
    return numpy.stack([common.sample_labels(size, size, size * size // 1200, seed + k) for k in range(2)])


def judge_value(report, what, ours, theirs):
    off = abs(ours - theirs) / abs(theirs)
    report.check(f"{what}: value", off <= 1e-5, f"{ours:.7g} and {theirs:.7g}, relative difference {off:.1e}")


def compare_loss(report, folder, size, seed, empty):
    """Compares the loss of given network outputs, without the points at which masks are refined: see compare_step."""
    labels = samples(size, seed)
    labels[1:] *= empty < 1
    labels *= empty < 2
    truth, random = Truth(folder, labels), numpy.random.default_rng(seed)
    side_of_map = size // DOWN
    given = {"heat": random.normal(-2, 1.5, (2, 1, side_of_map, side_of_map)),
             "size": random.normal(5, 2, (2, 2, side_of_map, side_of_map)),
             "offset": random.normal(0.5, 0.3, (2, 2, side_of_map, side_of_map)),
             "masks": random.normal(0, 2, sum(h * w for h, w in truth.sizes))}
    given = {name: values.astype(numpy.float32) for name, values in given.items()}
    folder.write(labels=labels, **given)
    folder.ask("loss", "og", shape=labels.shape)
    leaves = {name: torch.from_numpy(values).double().requires_grad_(True) for name, values in given.items()}
    masks = truth.by_box(torch.sigmoid(leaves["masks"]))
    rois = [torch.from_numpy(roi) for rois in truth.rois for roi in rois]
    value = CtdetLoss()(truth.maps, {"hm": torch.sigmoid(leaves["heat"]), "wh": leaves["size"], "reg": leaves["offset"],
                                     "pr_rois": [masks[k] for k in range(len(rois))], "gt_rois": rois,
                                     **{f"{who}_pts_class{k}": [] for who in ("pr", "gt") for k in (0, 1)}})
    value.backward()
    what = f"losses, {size}x{size}, {len(rois)} objects"
    judge_value(report, what, float(folder.read("loss")[0]), value.item())
    for name, leaf in leaves.items():
        if leaf.numel():
            side.judge(report, f"{what}: gradient, {name}", folder.read(f"gradient_{name}", leaf.shape), leaf.grad.numpy(), 1e-4)


def peer_step(network, image, truth, dtype):
    """The peer's loss of a batch with the points that Basin drew, the number of terms of points, and the gradient."""
    draws = iter(truth.draws[k] for k in sorted(truth.draws))
    rois = [[torch.from_numpy(roi).to(dtype).numpy() for roi in rois] for rois in truth.rois]
    network = copy.deepcopy(network).to(dtype).train()
    drawing = torch.rand
    torch.rand = lambda size, device: torch.from_numpy(next(draws)).to(dtype).reshape(size)
    set_precision(dtype)
    try:
        found = network({"image": torch.from_numpy(image).to(dtype) - 0.5, "gt_bboxes": truth.boxes, "gt_rois": rois})
    finally:
        torch.rand = drawing
        set_precision(torch.float64)
    value = CtdetLoss()(truth.maps, found)
    value.backward()
    gradient = {name: p.grad.numpy().ravel() for name, p in network.named_parameters()}
    buffers = {name: buffer.numpy().ravel() for name, buffer in network.named_buffers()}
    return value.item(), len(found["pr_pts_class0"]) + len(found["pr_pts_class1"]), gradient, buffers


def compare_step(report, folder, network, size):
    labels = samples(size, 3)
    image = 0.6 * (labels > 0) + 0.2 * numpy.random.default_rng(0).random(size=labels.shape)
    image = numpy.repeat(image[:, None], 3, 1).astype(numpy.float32)
    truth = Truth(folder, labels)
    value, points, gradient, buffers = peer_step(network, image, truth, torch.float64)
    length = numpy.sqrt(sum((g ** 2).sum() for g in gradient.values()))

    def off(found):
        return numpy.sqrt(sum(((found[name] - g) ** 2).sum() for name, g in gradient.items())) / length

    single = off(peer_step(network, image, truth, torch.float32)[2])
    for way, environment in (("direct", {"BASIN_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "BASIN_WINOGRAD": "0"}), ("as chosen", {})):
        folder.write(image=image, labels=labels)
        folder.ask("train", "og", shape=image.shape, model=str(folder.path / "state_dict.safetensors"), environment=environment)
        what = f"training {size}x{size}, {len(truth.sizes)} objects, {points} terms of points, {way}"
        judge_value(report, what, float(folder.read("loss0")[0]), value)
        ours = folder.slices("learnt.txt", "gradient")
        report.check(f"{what}: names of parameters", set(ours) == set(gradient))
        report.check(f"{what}: gradient of all parameters", off(ours) <= 2e-2,
                     f"off by {off(ours):.1e} in norm; PyTorch in float32 {single:.1e}")
        worst = max(numpy.abs(running - buffers[name]).max() / max(1, numpy.abs(buffers[name]).max())
                    for name, running in folder.slices("statistics.txt", "running").items())
        report.check(f"{what}: running statistics", worst <= 1e-4, f"largest difference {worst:.1e}")


def compare_boxes(report, folder, height, width, seed):
    import scipy.ndimage
    random = numpy.random.default_rng(seed)
    heat = scipy.ndimage.gaussian_filter(random.normal(size=(1, height, width)), (0, 1.5, 1.5))
    maps = {"heat": 2 * heat / heat.std() - 1, "size": random.uniform(1, 20, (2, height, width)),
            "offset": random.uniform(0, 1, (2, height, width))}
    maps = {name: values.astype(numpy.float32) for name, values in maps.items()}
    folder.write(**maps)
    folder.ask("boxes", "og", shape=[height, width])
    given = {name: torch.from_numpy(values)[None] for name, values in maps.items()}
    theirs = DecDecoder(K=500, conf_thresh=0.3).ctdet_decode(
        {"hm": torch.sigmoid(given["heat"]), "wh": given["size"], "reg": given["offset"]})[:, :5]
    theirs[:, :4] *= DOWN
    ours = folder.read("boxes", (-1, 5))
    report.equal(f"boxes of {height}x{width} cells, in order", ours[:, :4], theirs[:, :4])
    side.judge(report, f"scores of {len(theirs)} boxes", ours[:, 4], theirs[:, 4], 1e-6)


def compare_objects(report, folder, frame, shape, seed, published):
    """The objects in given masks of boxes, many of which overlap."""
    random = numpy.random.default_rng(seed)
    count = 60
    boxes = numpy.stack([random.uniform(0, frame[1], count), random.uniform(0, frame[0], count), random.uniform(5, 60, count),
                         random.uniform(5, 60, count), numpy.sort(random.uniform(0.3, 1, count))[::-1]], 1).astype(numpy.float32)
    rois = []
    for box in boxes.astype(float):
        w, h = (1.1 * box[2:4]).astype(int)
        y, x = numpy.meshgrid(numpy.linspace(-1.1, 1.1, h), numpy.linspace(-1.1, 1.1, w), indexing="ij")
        logit = 6 * (1 - numpy.hypot(x, y) + 0.2 * numpy.sin(3 * numpy.arctan2(y, x) + random.uniform(0, 6)))
        rois.append((1 / (1 + numpy.exp(-logit - random.normal(0, 0.3, logit.shape)))).astype(numpy.float32))
    folder.write(boxes=boxes, masks=numpy.concatenate([roi.ravel() for roi in rois]))
    folder.ask("objects", "og", count=count, frame=frame, shape=shape, published=published)
    rows, pixels, at = folder.read("objects", (-1, 5)), folder.read("pixels", kind=numpy.int32), 0

    votes = affine_funcs.accumulate_votes
    if not published:  # divides the sum of votes by their weights
        def accumulate(given, shape):
            ones = votes(numpy.stack([given[:, 0], given[:, 1], numpy.ones(len(given))], 1), shape)
            return votes(given, shape) / numpy.where(ones > 0, ones, 1)
        affine_funcs.accumulate_votes = accumulate
    dataset = types.SimpleNamespace(img_ids=["picture"], load_image=lambda _: numpy.zeros((*shape, 3)))
    options = types.SimpleNamespace(input_h=frame[0], input_w=frame[1], seg_thresh=0.53 if published else 0.5, nms_thresh=0.2)
    try:
        theirs = peer.Module.post_processing(
            None, options, {"pr_bboxes": [[*box, 0] for box in boxes.astype(float)], "pr_rois": [torch.from_numpy(r) for r in rois]},
            dataset, "picture")
    finally:
        affine_funcs.accumulate_votes = votes
    masks = theirs["pr_rois"]
    what = f"objects, {frame[0]}x{frame[1]} shown as {shape[0]}x{shape[1]}, {'sum' if published else 'mean'} of votes"
    scores = numpy.array(theirs["pr_bboxes"])[:, 4]
    if not len(rows) == len(masks) < count:
        report.check(what, False, f"{len(rows)} objects against {len(masks)}")
        return
    side.judge(report, f"{what}: scores of {len(masks)} objects", rows[:, 4], scores, 1e-6)
    least, different = 1.0, 0
    for (x, y, w, h), (x1, y1, *_), mask in zip(rows[:, :4].astype(int), numpy.array(theirs["pr_bboxes"]).astype(int), masks):
        a, b = numpy.zeros((2, *shape), bool)
        a[y:y + h, x:x + w] = pixels[at:at + w * h].reshape(h, w)
        b[y1:y1 + mask.shape[0], x1:x1 + mask.shape[1]] = mask > 0
        at += w * h
        least, different = min(least, (a & b).sum() / (a | b).sum()), different + int((a != b).sum())
    report.check(f"{what}: masks", least >= 0.999, f"least IoU {least:.4f}, {different} pixels differ")


def main():
    common.basin_path()
    side.program()
    warnings.filterwarnings("ignore", message="size_average")
    torch.set_num_threads(1)
    report = common.Report()
    with common.scratch() as name:
        folder = side.Folder(name)
        for seed, (size, empty) in enumerate(((64, 0), (128, 0), (192, 1), (64, 2))):
            compare_loss(report, folder, size, seed + 1, empty)
        for seed, (height, width) in enumerate(((32, 32), (96, 128), (128, 128))):
            compare_boxes(report, folder, height, width, seed + 1)
        for seed, (frame, shape) in enumerate((([256, 256], [256, 256]), ([512, 512], [512, 512]), ([512, 512], [360, 777]))):
            for published in (True, False):
                compare_objects(report, folder, frame, shape, seed + 1, published)
        network = random_network(seed=1)
        write_weights(folder, network)
        compare_step(report, folder, network, 128)
        calibrate(network.eval(), torch.rand(1, 3, 128, 224).double() - 0.5)
        write_weights(folder, network)
        compare_network(report, folder, network, 128, 224, ("--set", "resize=false"))
        compare_network(report, folder, network, 512, 512, ())
    report.finish()


if __name__ == "__main__":
    main()
