"""Compares the accuracy of a method trained by Basin and of its authors' network and loss trained in PyTorch.

Both sides take the same number of steps on the same batches in the same order, which basin_training_step writes, with the
same learning rates and without augmentation. They differ in the initial weights, in the dropout of es, and in the code.
Both networks use a moving average of their weights, since the score varies from step to step, and both are decoded and
scored by Basin on the same images. With --same-start, Basin starts from the peer's initial weights, so that without
dropout both sides have the same losses until rounding errors have grown.

es and og: the authors' own network and loss. fc and wn: those of unet_methods.py, because the authors wrote for
TensorFlow 1. fc has Basin's guide on both sides: with the published loss, which fc-published uses, a network hardly learns
anything in so few steps. og is too large to be trained on a CPU until it generalises, so it learns 16 images by heart and
is scored on these; both sides start from the same weights, and their final losses are compared.

    EMBEDSEG=... OBJGUIDED=... python method_accuracy.py METHOD --data DIR --out DIR [--seeds 1,2,3] [--steps N]

DIR contains <id>_img.png and <id>_masks.png; the images that `train --val-fraction` would hold out are scored. Finished
parts in --out are not repeated.
"""
import argparse
import copy
import dataclasses
import json
import math
import pathlib
import shutil
import sys
import time

import common
import method_side as side
from accuracy import link_folder

LOSS_TOLERANCE = 2e-5
CHUNK = 50  # steps whose batches are written at once


def alpha(progress):
    """The exponent of fc's activation."""
    return (2, 2, 4, 6, 8)[min(4, int(5 * progress))]


@dataclasses.dataclass
class Case:
    """How a method is trained and scored here."""
    method: str
    steps: int
    batch: int
    rate: float
    schedule: str
    warm_up: int
    settings: dict
    weight_decay: float = 0
    scale: float = 1
    held_out: float = 0.1
    score: str = "AP50"
    tolerance: float = 0.015
    loss_tolerance: float = math.inf  # of the mean loss of the last steps, relative
    channels: int = 1
    crop: int = 128
    norm: str = "percentile:1,99.8"
    segment: tuple = ()  # further options of `segment`
    overfits: int = 0  # this many images of `crop` x `crop` pixels are both learnt and scored
    same_start: bool = False

    def rate_of(self, step):
        part = step / self.steps
        rate = self.rate * ((1 - part) ** 0.9 if self.schedule == "polynomial" else 0.5 * (1 + math.cos(math.pi * part)))
        return rate * (step + 1) / self.warm_up if step < self.warm_up else rate

    def assignments(self):
        settings = {**self.settings, "channels": self.channels, "normalisation": self.norm}
        if self.method == "og":
            settings["crop"] = self.crop  # `train` takes it from --crop
        return [f"{key}={value}" for key, value in settings.items()]


CASES = {
    "es": Case("es", 1500, 2, 5e-4, "polynomial", 0, {}, weight_decay=1e-4),
    "fc": Case("fc", 1500, 4, 1e-3, "cosine", 100, dict(colours=5, radius=3, inter_weight=1, guide_weight=30)),
    "fc-published": Case("fc", 1500, 4, 1e-3, "cosine", 100, dict(colours=4, radius=10, inter_weight=4, guide_weight=0)),
    "wn": Case("wn", 1000, 4, 5e-4, "cosine", 100, dict(width=16, pixel_mean="true"), scale=0.5, held_out=0.15, score="SBD",
               channels=3),
    "og": Case("og", 300, 1, 1.25e-4, "constant", 0, {}, tolerance=0.02, loss_tolerance=0.05, channels=3, crop=256,
               norm="divide", overfits=16, same_start=True),
}


# ---- the peers: a network, its loss for one batch, and its tensors under Basin's names ----

class EmbedSegPeer:
    def __init__(self, case):
        import embedseg
        self.code = embedseg
        self.network = embedseg.quietly(embedseg.BranchedERFNet, [4, 1], case.channels)
        embedseg.quietly(self.network.init_output, 2)

    def loss(self, batch, _):
        labels = batch["labels"][:, 0]
        return self.code.peer_loss(self.network(batch["image"]), labels, self.code.centre_images(labels, "medoid"))

    def tensors(self, network):
        return self.code.tensors_of(network)


class UNetPeer:
    def __init__(self, case):
        import unet_methods
        self.code, self.settings = unet_methods, case.settings
        self.network = self.make(case.channels)
        unet_methods.he_normal(self.network)

    def embedding_loss(self, maps, labels, **options):
        labels = labels[:, 0]
        near = self.code.adjacency(labels, self.settings.get("radius", 10))
        return self.code.embedding_loss(maps, torch.from_numpy(labels).long(), near, **options)

    def tensors(self, network):
        return {f"{name}.{part}": getattr(conv, part).detach().numpy() for name, conv in network.convolutions().items()
                for part in ("weight", "bias")}


class FcrNetPeer(UNetPeer):
    def make(self, channels):
        return self.code.FcrNet(channels, 16, self.settings["colours"])

    def loss(self, batch, progress):
        maps = self.code.power_activation(self.network(batch["image"]), alpha(progress))
        loss = self.embedding_loss(maps, batch["labels"], unit_centres=False, inter_weight=self.settings["inter_weight"])
        if self.settings["guide_weight"] == 0:
            return loss
        return loss + self.settings["guide_weight"] * torch.nn.functional.mse_loss(maps, torch.from_numpy(batch["guide"]))


class ObjectGuidedPeer:
    def __init__(self, _):
        import object_guided
        self.code = object_guided
        self.code.set_precision(torch.float32)
        self.network = self.code.peer_network()

    def loss(self, batch, _):
        truth = self.code.Targets(batch["pieces"][:, 0])
        maps = {name: value.float() if value.is_floating_point() else value for name, value in truth.maps.items()}
        rois = [[roi.astype(numpy.float32) for roi in rois] for rois in truth.rois]
        found = self.network({"image": batch["image"] - 0.5, "gt_bboxes": truth.boxes, "gt_rois": rois})
        for name in ("gt_rois", "gt_pts_class0", "gt_pts_class1"):  # interpolated masks, which rounding may take above 1
            found[name] = [values.clamp(0, 1) for values in found[name]]
        return self.code.CtdetLoss()(maps, found)

    def tensors(self, network):
        return {name: value.numpy() for name, value in network.state_dict().items()}


class WNetPeer(UNetPeer):
    def make(self, channels):
        return self.code.WNet(channels, self.settings["width"])

    def loss(self, batch, _):
        distance, embedding = self.network(batch["image"])
        return (torch.nn.functional.mse_loss(distance, torch.from_numpy(batch["distance"]))
                + self.embedding_loss(embedding, batch["labels"], unit_centres=True))


PEERS = {"es": EmbedSegPeer, "fc": FcrNetPeer, "wn": WNetPeer, "og": ObjectGuidedPeer}


# ---- training ----

def batches(case, data, seed, folder):
    """The batches of Basin's training with this seed, {name: array [N,C,H,W]}: the image as a tensor, and the targets."""
    for first in range(0, case.steps, CHUNK):
        count = min(CHUNK, case.steps - first)
        folder.ask("batches", case.method, case.assignments(), data=str(data), scale=case.scale, batch=case.batch,
                   crop=case.crop, seed=seed, first=first, count=count)
        maps = json.loads((folder.path / "maps.json").read_text())
        arrays = {name: folder.read(name, (count, case.batch, channels, case.crop, case.crop),
                                    numpy.int32 if name in ("labels", "pieces") else numpy.float32)
                  for name, channels in maps.items()}
        for k in range(count):
            batch = {name: array[k] for name, array in arrays.items()}
            batch["image"] = torch.from_numpy(batch["image"]).contiguous(memory_format=torch.channels_last)
            yield batch


def first_weights(options, seed):
    return options.out / f"first-{seed}.safetensors"


def torch_train(case, data, seed, options):
    """Writes the moving average of the peer's weights, and the mean losses of --report steps each as Basin does."""
    with common.scratch() as name:
        folder = side.Folder(name)
        torch.manual_seed(seed)
        peer = PEERS[case.method](case)
        network = peer.network.to(memory_format=torch.channels_last).train()
        if options.same_start or case.same_start:
            first = folder.model(case.method, case.assignments(), peer.tensors(network))
            shutil.copyfile(first, first_weights(options, seed))
        average = copy.deepcopy(network)
        pairs = [(a, b) for a, b in zip(average.state_dict().values(), network.state_dict().values()) if a.is_floating_point()]
        optimizer = torch.optim.Adam(network.parameters(), lr=case.rate, weight_decay=case.weight_decay, fused=True)
        losses, rows, start = [], ["step,loss"], time.time()
        for step, batch in enumerate(batches(case, data, seed, folder)):
            if step in (0, case.steps - 1):  # objects that have not been learnt yet have nearly equal maps
                check_loss(case, folder, peer, batch, step / case.steps)
            optimizer.param_groups[0]["lr"] = case.rate_of(step)
            if case.method in ("fc", "wn"):  # TensorFlow 1 adds epsilon before it corrects the bias
                optimizer.param_groups[0]["eps"] = 1e-8 / (1 - 0.999 ** (step + 1)) ** 0.5
            optimizer.zero_grad(set_to_none=True)
            loss = peer.loss(batch, step / case.steps)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - options.decay)
            losses.append(loss.item())
            if (step + 1) % options.report == 0 or step + 1 == case.steps:
                rows.append(f"{step + 1},{numpy.mean(losses)}")
                print(f"PyTorch, seed {seed}: {rows[-1]}, {(time.time() - start) / (step + 1):.2f} s per step", flush=True)
                losses.clear()
        run = options.out / f"torch-run-{seed}"
        run.mkdir(exist_ok=True)
        (run / "metrics.csv").write_text("\n".join(rows) + "\n")
        file = folder.model(case.method, case.assignments(), peer.tensors(average))
        file.rename(options.out / f"torch-{seed}.safetensors")


def check_loss(case, folder, peer, batch, progress):
    """Ends the script unless Basin computes the same loss of a batch with the peer's weights of now. The loss of es depends
    on a random dropout and that of og on random points; embedseg.py and object_guided.py compare them."""
    if case.method in ("es", "og"):
        return
    with torch.no_grad():
        theirs = peer.loss(batch, progress).item()
    model = folder.model(case.method, case.assignments(), peer.tensors(peer.network), "now.safetensors")
    folder.write(**{name: numpy.asarray(array) for name, array in batch.items()})
    folder.ask("train", case.method, case.assignments(), shape=list(batch["image"].shape), model=str(model),
               scheduled=alpha(progress))
    ours = float(folder.read("loss0")[0])
    off = abs(ours - theirs) / abs(theirs)
    print(f"loss of a batch at {progress:.0%} of the training: {ours:.7g} in Basin, {theirs:.7g} in PyTorch, "
          f"relative difference {off:.1e}", flush=True)
    if off > LOSS_TOLERANCE:
        sys.exit("failed: the losses differ")


def basin_train(case, data, seed, options):
    run, start = options.out / f"basin-run-{seed}", time.time()
    begin = ["--model", case.method, "--channels", case.channels]
    begin += [word for key, value in case.settings.items() for word in ("--set", f"{key}={value}")]
    if options.same_start or case.same_start:
        begin = ["--finetune", first_weights(options, seed)]
    common.basin("train", "--data", data, *begin, "--out", run, "--steps", case.steps, "--val-fraction", 0, "--batch",
                 case.batch, "--accumulate", 1, "--crop", case.crop, "--scale", case.scale, "--lr", case.rate, "--schedule",
                 case.schedule, "--warm-up", case.warm_up, "--weight-decay", case.weight_decay, "--ema", options.decay,
                 "--norm", case.norm, "--augment", "none", "--seed", seed, "--save-every", options.report, "--device", "cpu",
                 threads=options.threads)
    for line in (run / "metrics.csv").read_text().splitlines():
        print(f"Basin, seed {seed}: {line}")
    print(f"Basin, seed {seed}: {(time.time() - start) / case.steps:.2f} s per step", flush=True)
    (run / "last.safetensors").rename(options.out / f"basin-{seed}.safetensors")


# ---- scores ----

def last_loss(run):
    """The mean loss in the last row of metrics.csv."""
    names, *_, last = (line.split(",") for line in (run / "metrics.csv").read_text().splitlines())
    return float(last[names.index("loss")])


def held_out(names, fraction):
    """The names that `train --val-fraction` holds out: the round(fraction n) of the lowest hash."""
    def key(name):
        h = 0xcbf29ce484222325
        for byte in name.encode():
            h = (h ^ byte) * 0x100000001b3 % 2 ** 64
        for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
            h = (h ^ h >> 33) * factor % 2 ** 64
        return h ^ h >> 33
    return set(sorted(names, key=key)[:round(fraction * len(names))])


def scores(case, model, validation, options):
    with common.scratch() as name:
        out = pathlib.Path(name)
        common.basin("segment", validation, "--model", model, "--out", out / "found", "--save", "labels", "--scale", case.scale,
                     "--norm", case.norm, "--device", "cpu", *case.segment, threads=options.threads)
        common.basin("evaluate", "--pred", out / "found", "--truth", validation, "--json", out / "scores.json",
                     threads=options.threads)
        metrics = common.load_json(out / "scores.json")["metrics"]
    return {name: metrics[name]["mean"] for name in ("AP50", "AP75", "SBD")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--steps", type=int, help="instead of the method's")
    parser.add_argument("--same-start", action="store_true", help="give both sides the same first weights")
    parser.add_argument("--report", type=int, default=250, help="steps between the losses that are printed")
    parser.add_argument("--decay", type=float, default=0.98, help="of the moving average of the weights")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    common.basin_path(), side.program()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    case = CASES[options.case]
    if options.steps:
        case = dataclasses.replace(case, steps=options.steps, warm_up=min(case.warm_up, options.steps))
    names = sorted(path.name.removesuffix("_img.png") for path in options.data.glob("*_img.png"))
    if len(names) < 2:
        sys.exit(f"failed: {options.data} has fewer than two files *_img.png")
    if case.overfits > 0:
        size = (case.crop, case.crop)
        names = [name for name in names if Image.open(options.data / f"{name}_img.png").size == size][:case.overfits]
        held, learnt = names, names
    else:
        held = sorted(held_out(names, case.held_out))
        learnt = [name for name in names if name not in held]
    data = link_folder(options.data, learnt, options.out / "train")
    validation = link_folder(options.data, held, options.out / "validation")
    print(f"{options.case}: {len(learnt)} training and {len(held)} validation images, {case.steps} steps", flush=True)

    results_file = options.out / "results.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else {}
    trainings = {"PyTorch": ("torch", torch_train), "Basin": ("basin", basin_train)}
    seeds = options.seeds.split(",")
    for seed in seeds:
        for trained, (prefix, train) in trainings.items():
            model = options.out / f"{prefix}-{seed}.safetensors"
            if not model.exists():
                train(case, data, int(seed), options)
            if f"{trained} {seed}" not in results:
                results[f"{trained} {seed}"] = scores(case, model, validation, options)
                results_file.write_text(json.dumps(results, indent=1))
            print(f"{trained}, seed {seed}: " + ", ".join(f"{k} {v:.4f}" for k, v in results[f"{trained} {seed}"].items()), flush=True)
    means = {}
    for trained in trainings:
        by_seed = [results[f"{trained} {seed}"][case.score] for seed in seeds]
        means[trained] = sum(by_seed) / len(by_seed)
        print(f"{trained}: {case.score} {means[trained]:.4f}, by seed " + " ".join(f"{score:.4f}" for score in by_seed))
    gap = means["Basin"] - means["PyTorch"]
    report = common.Report()
    report.check(f"{options.case}, {len(seeds)} seeds: Basin against its peer", gap >= -case.tolerance,
                 f"{gap:+.4f} {case.score}")
    for seed in seeds if math.isfinite(case.loss_tolerance) else ():
        ours, theirs = (last_loss(options.out / f"{prefix}-run-{seed}") for prefix in ("basin", "torch"))
        report.check(f"{options.case}, seed {seed}: loss of the last steps", abs(ours / theirs - 1) <= case.loss_tolerance,
                     f"{ours:.4f} in Basin, {theirs:.4f} in PyTorch")
    report.finish()


if __name__ == "__main__":
    numpy, torch, Image = common.modules("numpy", "torch", "PIL.Image")
    common.modules("safetensors.numpy")
    main()
