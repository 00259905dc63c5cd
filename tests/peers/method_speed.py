"""Times a training step and the segmentation of an image by each method: Basin against the peers.

    EMBEDSEG=... OBJGUIDED=... FCRNET=... WNET=... python method_speed.py [--methods es,fc,wn,og] [--rounds 3] [--json FILE]

The image and its objects are synthetic nuclei from `basin synth`, the ones that `basin bench` times itself on. A training step is
forward, loss, backward and Adam. Of es and og it is the authors' own network and loss; the authors of fc and wn wrote for
TensorFlow 1, so their networks and losses are those of unet_methods.py. PyTorch runs channels first and last, eager and compiled,
and the fastest counts. An image is segmented, network and decoding, by the authors' own code: on PyTorch for es and og, on
TensorFlow for fc and wn. Untrained networks give arbitrary maps, so each decoder gets the maps of perfect networks, as in Basin.
Every round runs each contender in turn. The times mean little on a machine that is busy with other work.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import common

HERE = pathlib.Path(__file__).resolve().parent
# Width of the network, side of the crops, samples per batch: sizes whose training step takes a CPU seconds.
SIZES = {"es": (16, 256, 2), "fc": (16, 256, 4), "wn": (16, 256, 4), "og": (64, 256, 2)}
SEGMENTED = 512
WAYS = [("nchw", False), ("nhwc", False), ("nchw", True), ("nhwc", True)]


def nuclei(folder, side):
    """An image [side,side] of bytes and its labels: the first of `basin synth --kind nuclei --seed 0`."""
    numpy, images = common.modules("numpy", "PIL.Image")
    out = pathlib.Path(folder) / f"nuclei{side}"
    common.basin("synth", "--kind", "nuclei", "--count", 1, "--size", side, "--seed", 0, "--out", out)
    image, = out.glob("*_img.png")
    labels, = out.glob("*_masks.png")
    return numpy.array(images.open(image)), numpy.array(images.open(labels)).astype(numpy.int32)


# ---- one contender in its own process ----

class TorchStep:
    """A training step of a method on PyTorch."""

    def __init__(self, method, folder, layout, compiled):
        import torch
        from torch_side import adam
        width, side, batch = SIZES[method]
        pixels, labels = nuclei(folder, side)
        memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format
        channels = 3 if method in ("wn", "og") else 1
        image = torch.from_numpy(pixels / 255).float().expand(batch, channels, side, side).contiguous(memory_format=memory)
        network, loss = getattr(self, method)(torch, batch, labels, width)
        network = network.to(memory_format=memory).train()
        optimizer = adam(network.parameters(), 1e-4)
        run = torch.compile(network) if compiled else network

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss(run, image).backward()
            optimizer.step()

        self.step = step

    def es(self, torch, batch, labels, _):
        import embedseg
        network = embedseg.quietly(embedseg.BranchedERFNet, [4, 1], 1)
        all_labels = embedseg.numpy.stack([labels] * batch)
        centres = embedseg.centre_images(all_labels, "medoid")
        return network, lambda run, image: embedseg.peer_loss(run(image), all_labels, centres)

    def og(self, torch, batch, labels, _):
        import object_guided as og
        og.set_precision(torch.float32)
        network = og.networks.Network({"hm": 1, "wh": 2, "reg": 2}, pretrained=False, down_ratio=4, final_kernel=1,
                                      head_conv=256)
        dataset = object.__new__(og.base_dataset.BaseDataset)
        boxes, rois = dataset.masks_to_bboxes_rois([(labels == k).astype("float32") for k in range(1, labels.max() + 1)])
        boxes, side = boxes.reshape(-1, 4), len(labels) // og.DOWN
        maps = og.pre_proc.generate_ground_truth(boxes / og.DOWN, 1, side, side, 500)
        truth = {name: torch.from_numpy(og.numpy.stack([each] * batch)).float() if name in ("hm", "wh", "reg")
                 else torch.from_numpy(og.numpy.stack([each] * batch)) for name, each in maps.items()}
        rois = [[roi.astype("float32") for roi in rois] for _ in range(batch)]
        criterion = og.CtdetLoss()
        return network, lambda run, image: criterion(
            truth, run({"image": image - 0.5, "gt_bboxes": [boxes] * batch, "gt_rois": rois}))

    def fc(self, torch, batch, labels, width):
        import unet_methods as peer
        ids = torch.from_numpy(labels).long().expand(batch, -1, -1).contiguous()
        near = peer.adjacency(labels[None]).expand(batch, -1, -1)
        return peer.FcrNet(1, width, 5), lambda run, image: peer.embedding_loss(
            peer.power_activation(run(image), 2), ids, near, unit_centres=False, inter_weight=4)

    def wn(self, torch, batch, labels, width):
        import unet_methods as peer
        ids = torch.from_numpy(labels).long().expand(batch, -1, -1).contiguous()
        near = peer.adjacency(labels[None]).expand(batch, -1, -1)
        target = 10 * (ids[:, None] > 0).float()

        def loss(run, image):
            distance, embedding = run(image)
            return ((distance - target) ** 2).mean() + peer.embedding_loss(embedding, ids, near, unit_centres=True)

        return peer.WNet(3, width), loss


class OwnSegmentation:
    """The segmentation of an image by the authors' own code: network and decoding."""

    def __init__(self, method, folder, threads):
        self.pixels, self.labels = nuclei(folder, SEGMENTED)
        self.threads = threads
        self.step = getattr(self, method)()

    def es(self):
        import embedseg as es
        torch, numpy = es.torch, es.numpy
        network = es.quietly(es.BranchedERFNet, [4, 1], 1).eval()
        image = torch.from_numpy(self.pixels / 255).float()[None, None]
        cluster = es.utils.Cluster(1024, 1024, 1, 1, "cpu")
        maps = torch.from_numpy(es.random_maps(self.labels[None], 0, 1)[0].astype(numpy.float32))

        def step():
            with torch.inference_mode():
                es.test_time_augmentation.apply_tta_2d(image, network)
                cluster.cluster(maps, n_sigma=2, min_object_size=36)

        return step

    def og(self):
        import object_guided as og
        torch, numpy = og.torch, og.numpy
        og.set_precision(torch.float32)
        torch.manual_seed(0)  # with some random weights all masks are empty, which the authors' code does not expect
        network = og.networks.Network({"hm": 1, "wh": 2, "reg": 2}, pretrained=False, down_ratio=4, final_kernel=1,
                                      head_conv=256).eval()
        image = torch.from_numpy(self.pixels / 255 - 0.5).float().expand(1, 3, -1, -1).contiguous()
        ys, xs = zip(*((ys, xs) for k in range(1, self.labels.max() + 1) for ys, xs in [numpy.nonzero(self.labels == k)]))
        boxes = numpy.array([[(x.min() + x.max()) / 2, (y.min() + y.max()) / 2, numpy.ptp(x) + 1, numpy.ptp(y) + 1, 0.9]
                             for y, x in zip(ys, xs)], numpy.float32)
        import types
        dataset = types.SimpleNamespace(img_ids=["picture"], load_image=lambda _: numpy.zeros((*self.labels.shape, 3)))
        options = types.SimpleNamespace(input_h=SEGMENTED, input_w=SEGMENTED, seg_thresh=0.53, nms_thresh=0.2)
        decoder = og.DecDecoder(K=500, conf_thresh=0.3)

        def step():
            with torch.inference_mode():
                maps = network.forward_dec(image)
                decoder.ctdet_decode(maps)
                rois = network.forward_seg_test({"pr_bboxes": boxes.astype(float)}, maps)["pr_rois"]
                og.peer.Module.post_processing(
                    None, options, {"pr_bboxes": [[*box, 0] for box in boxes.astype(float)], "pr_rois": rois}, dataset, "picture")

        return step

    def on_tensorflow(self, network, what, image, decode):
        tf = sys.modules["tensorflow"]
        network.session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=self.threads,
                                                           inter_op_parallelism_threads=1))
        network.session.run(tf.global_variables_initializer())

        def step():
            network.run(what, {network.image: image, **({network.alpha: 8} if hasattr(network, "alpha") else {})})
            decode()

        return step

    def fc(self):
        import fcrnet as fc
        from scipy import stats
        from skimage.measure import label
        numpy = fc.numpy
        network = fc.Network(1, 0)
        h = numpy.eye(4, dtype=numpy.float32)[numpy.where(self.labels > 0, 1 + self.labels % 3, 0)]

        def decode():
            colours = numpy.argmax(h, axis=-1)
            background = int(stats.mode(colours, axis=None).mode)
            label(numpy.where(colours == background, 0, colours + 1), background=0, connectivity=2)

        return self.on_tensorflow(network, network.colours, (self.pixels / 255.)[None, ..., None].astype("float32"), decode)

    def wn(self):
        import functools
        import wnet as wn
        from skimage.filters import gaussian
        numpy, post = wn.numpy, wn.postprocessing
        wn.WIDTH = SIZES["wn"][0]
        network = wn.Network(3, 8, 0)
        distance = 10 * wn.targets(self.labels[None])[0]
        directions = numpy.vstack([numpy.eye(8)[:1], numpy.eye(8)[1 + numpy.arange(self.labels.max()) % 7]])
        embedding = directions[self.labels].astype(numpy.float32)
        post.peak_local_max = functools.partial(wn.peers.old_peak_local_max, exclude_border=False)

        def decode():
            smooth = gaussian(distance, sigma=0.5)
            masks = post.mask_from_seeds(post.smooth_emb(embedding, radius=3), post.get_seeds(smooth, thres=0.7),
                                         similarity_thres=0.7)
            post.remove_noise(masks, smooth, min_size=10, min_intensity=0.1)

        image = numpy.repeat((self.pixels / 255.)[None, ..., None], 3, -1).astype("float32")
        return self.on_tensorflow(network, [network.distance, network.embedding], image, decode)


def work(task, method, layout, compiled, threads):
    with common.scratch() as folder:
        if task == "train":
            common.modules("torch").set_num_threads(threads)
            contender = TorchStep(method, folder, layout, compiled == "compiled")
        else:
            if method in ("es", "og"):
                common.modules("torch").set_num_threads(threads)
            contender = OwnSegmentation(method, folder, threads)
        if method in ("es", "og"):  # whose scripts set one thread
            common.modules("torch").set_num_threads(threads)
        contender.step()
        contender.step()
        print("ready", flush=True)
        for line in sys.stdin:
            start = time.perf_counter()
            contender.step()
            print(1e3 * (time.perf_counter() - start), flush=True)


class Worker:
    def __init__(self, task, method, layout, compiled, threads):
        command = [sys.executable, __file__, "--worker", task, method, layout, "compiled" if compiled else "eager", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.error = None
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        self.error = (self.process.stderr.read().strip().splitlines() or ["the worker ended"])[-1][:160]

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def basin_times(task, method, threads, reps):
    width, side, batch = SIZES[method]
    with common.scratch() as folder:
        out = pathlib.Path(folder) / "bench.json"
        if task == "segment":
            side = SEGMENTED
        settings = [f"width={width}"] + ([f"crop={side}"] if method == "og" else [])
        common.basin("bench", f"method-{task}", "--model", method, *(word for s in settings for word in ("--set", s)), "--side",
                     side, "--batch", batch, "--reps", reps, "--device", "cpu", "--json", out, threads=threads)
        row = next(row for row in common.load_json(out) if row["name"] == f"method-{task}")
    return [row["min_ms"], row["median_ms"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--methods", default="es,fc,wn,og")
    parser.add_argument("--tasks", default="train,segment")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which warms up for minutes")
    parser.add_argument("--json", help="all the times")
    options = parser.parse_args()
    if options.worker:
        task, method, layout, compiled, threads = options.worker
        return work(task, method, layout, compiled, int(threads))
    common.basin_path()
    everything = {}
    for task in options.tasks.split(","):
        for method in options.methods.split(","):
            ways = [w for w in WAYS if not (w[1] and options.no_compile)] if task == "train" else [("own", False)]
            workers = {}
            for layout, compiled in ways:
                name = f"{layout} {'compiled' if compiled else 'eager'}" if task == "train" else "authors' code"
                worker = Worker(task, method, layout, compiled, options.threads)
                if worker.error:
                    print(f"{task} {method} {name}: not run: {worker.error}")
                else:
                    workers[name] = worker
            times = {name: [] for name in ("basin", *workers)}
            for _ in range(options.rounds):
                times["basin"] += basin_times(task, method, options.threads, 3)
                for name, worker in workers.items():
                    times[name] += [worker.ask() for _ in range(2)]
            for worker in workers.values():
                worker.stop()
            for name, series in times.items():
                print(f"{task:8} {method:3} {name:16} min {min(series):9.1f} ms  median {statistics.median(series):9.1f} ms", flush=True)
            if workers:
                for what, of in (("min", min), ("median", statistics.median)):
                    best = min(workers, key=lambda name: of(times[name]))
                    print(f"{task} {method}: Basin is {of(times[best]) / of(times['basin']):.2f} times as fast as {best} ({what})", flush=True)
            everything[f"{task} {method}"] = times
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
