"""Compares the AP50, on validation images, of an H1 trained by Basin and one trained with torchvf's network and losses.

Both see the same training images, the same number of steps (batch 2, crop 256, Adam, IVP + MSE + Tversky, flips with
probability 1/4) and the same normalisation; only the random numbers and the code differ. At a constant learning
rate the score of a network varies from step to step by more than the differences of interest, so the weights of a few
late steps are averaged. Each network is decoded by both programs, to show whether a difference comes from the training
or from the decoding. AP50 is StarDist's, averaged over images. Finished parts in --out are not repeated.

    TORCHVF=... python accuracy.py --data DIR --out DIR [--seeds 0,1,2] [--steps 500] [--rate 5e-4]

DIR contains <id>_img.png and <id>_masks.png. Every fourth 256x256 grey image by name is a validation image, and the
others are training images, unless --validation names a file with one validation id per line.
"""
import argparse
import json
import pathlib
import shutil
import time

import common

SIDE, BATCH, TOLERANCE = 256, 2, 0.01
DECODING = dict(threshold=0.5, step=0.1, steps=25, eps=2.25, min_samples=15)


def read_pairs(folder, validation_list):
    """[(id, image [H,W] uint8, labels [H,W])] for training and for validation."""
    pairs = []
    for path in sorted(folder.glob("*_img.png")):
        with Image.open(path) as picture:
            if picture.size != (SIDE, SIDE) or picture.mode != "L":
                continue
            image = numpy.asarray(picture)
        name = path.name.removesuffix("_img.png")
        with Image.open(path.with_name(name + "_masks.png")) as picture:
            pairs.append((name, image, numpy.asarray(picture).astype(numpy.int32)))
    if validation_list:
        chosen = set(pathlib.Path(validation_list).read_text().split())
    else:
        chosen = {name for name, _, _ in pairs[::4]}
    return [p for p in pairs if p[0] not in chosen], [p for p in pairs if p[0] in chosen]


def link_folder(source, names, target):
    """A folder with the named pairs, for Basin's commands."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        for suffix in ("_img.png", "_masks.png"):
            copy = target / (name + suffix)
            if not copy.exists():
                shutil.copyfile(source / (name + suffix), copy)
    return target


def normalise(image, norm):
    """`divide` or `percentile:lo,hi` as Basin defines them, per image, float32."""
    if norm == "divide":
        return image.astype(numpy.float32) / 255
    low, high = numpy.percentile(image, [float(q) for q in norm.removeprefix("percentile:").split(",")])
    return ((image - low) / max(high - low, 1e-6)).astype(numpy.float32)


def torch_batches(train, fields, norm, seed):
    """Endless batches (image, field, mask) with torchvf's flips: each axis with probability 1/4, and the field."""
    random = numpy.random.default_rng(seed)
    images = [normalise(image, norm) for _, image, _ in train]
    while True:
        order = random.permutation(len(train))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = []
            for i in order[first:first + BATCH]:
                image, field, mask = images[i], fields[i], (train[i][2] > 0).astype(numpy.float32)
                if random.random() < 0.25:
                    image, mask = image[::-1], mask[::-1]
                    field = field[:, ::-1] * numpy.float32([1, -1])[:, None, None]
                if random.random() < 0.25:
                    image, mask = image[:, ::-1], mask[:, ::-1]
                    field = field[:, :, ::-1] * numpy.float32([-1, 1])[:, None, None]
                batch.append((image[None], field, mask[None]))
            yield [torch.from_numpy(numpy.stack(part).copy()) for part in zip(*batch)]


def torch_train(train, fields, options, seed, checkpoints):
    """torchvf's H1; writes torch-SEED-STEP.safetensors at each checkpoint."""
    files = {step: options.out / f"torch-{seed}-{step}.safetensors" for step in checkpoints}
    if all(file.exists() for file in files.values()):
        return
    torch.manual_seed(seed)
    network = torch_side.get_model("h1").to(memory_format=torch.channels_last).train()
    loss, optimizer = torch_side.losses(), torch_side.adam(network.parameters(), options.rate)
    start = time.time()
    for step, (image, field, mask) in enumerate(torch_batches(train, fields, options.norm, seed), 1):
        optimizer.zero_grad(set_to_none=True)
        logit, predicted = network(image.to(memory_format=torch.channels_last))
        value = loss(logit, predicted, field, mask)
        value.backward()
        optimizer.step()
        if step % 50 == 0 or step == 10:
            rate = (time.time() - start) / step
            print(f"torchvf seed {seed} step {step}: loss {value.item():.3f}, {rate:.2f} s per step", flush=True)
        if step in files:
            state = {name: value.contiguous() for name, value in network.state_dict().items()}
            safetensors_torch.save_file(state, files[step])
        if step == max(checkpoints):
            return


def basin_train(train_folder, options, seed, checkpoints):
    """Basin's H1 on the same images; writes basin-SEED-STEP.safetensors, each a resumed run's last model."""
    run = options.out / f"basin-run-{seed}"
    for step in checkpoints:
        file = options.out / f"basin-{seed}-{step}.safetensors"
        if file.exists():
            continue
        start = time.time()
        common.basin("train", "--data", train_folder, "--model", "vf-h1", "--out", run, "--steps", step, "--resume",
                     "--val-fraction", 0, "--batch", BATCH, "--crop", SIDE, "--lr", options.rate,
                     "--norm", options.norm, "--augment", options.augment, "--seed", seed, "--device", "cpu",
                     threads=options.threads)
        shutil.copyfile(run / "last.safetensors", file)
        print(f"Basin seed {seed} to step {step}: {time.time() - start:.0f} s", flush=True)


def average(files, out):
    """A network with the mean of the parameters and running statistics of several, and the metadata of the last one."""
    if out.exists() or not all(file.exists() for file in files):
        return
    states = [safetensors_torch.load_file(file) for file in files]
    with safe_open(files[-1], "pt") as last:
        # Other tensors have another checksum; without one a file is not checked.
        metadata = {key: text for key, text in last.metadata().items() if not key.startswith("checksum")}
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
            for name, value in states[-1].items()}
    safetensors_torch.save_file(mean, out, metadata)


def torch_decode(model_file, images, norm):
    """torchvf's evaluation of one network: label images, without tiling (the images have the tile's size)."""
    network = torch_side.get_model("h1").eval()
    state = {k: v for k, v in safetensors_torch.load_file(model_file).items() if k in network.state_dict()}
    network.load_state_dict(state, strict=False)
    labels = []
    with torch.inference_mode():
        for image in images:
            logit, field = network(torch.from_numpy(normalise(image, norm))[None, None])
            mask = torch.sigmoid(logit) > DECODING["threshold"]
            points = ivp_solver(interp_vf(field), init_values_semantic(mask, device="cpu"), dx=DECODING["step"],
                                n_steps=DECODING["steps"])[-1]
            found = cluster(points, mask[0], eps=DECODING["eps"], min_samples=DECODING["min_samples"], snap_noise=False)
            labels.append(found[0].numpy().astype(numpy.int32))
    return labels


def basin_decode(model_file, folder, names, options):
    """Basin's `segment` of the validation folder with torchvf's decoding parameters."""
    with common.scratch() as out:
        images = [folder / (name + "_img.png") for name in names]
        common.basin("segment", *images, "--model", model_file, "--out", out, "--save", "labels", "--scale", 1,
                     "--tile", SIDE, "--norm", options.norm, "--threshold", DECODING["threshold"], "--step", DECODING["step"],
                     "--steps", DECODING["steps"], "--eps", DECODING["eps"], "--min-samples", DECODING["min_samples"],
                     "--device", "cpu", threads=options.threads)
        labels = []
        for name in names:
            with Image.open(pathlib.Path(out) / (name + "_masks.png")) as picture:
                labels.append(numpy.asarray(picture).astype(numpy.int32))
        return labels


def ap50(truth, found):
    """StarDist's accuracy at IoU 0.5 of one image: one-to-one matches with IoU >= 0.5; None where both are empty."""
    n_truth, n_found = int(truth.max()), int(found.max())
    both = numpy.histogram2d(truth.ravel(), found.ravel(), bins=(n_truth + 1, n_found + 1),
                             range=((-.5, n_truth + .5), (-.5, n_found + .5)))[0]
    union = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    iou = (both / numpy.maximum(union, 1))[1:, 1:]
    n_found = int((both.sum(0)[1:] > 0).sum())
    if n_truth + n_found == 0:
        return None
    hit = iou >= 0.5
    rows, columns = linear_sum_assignment(-(hit + iou / (2 * max(1, min(iou.shape)))))
    matched = int(hit[rows, columns].sum())
    return matched / (n_truth + n_found - matched)


def mean_ap50(truths, founds):
    scores = [ap50(truth, found) for truth, found in zip(truths, founds)]
    return float(numpy.mean([score for score in scores if score is not None]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--validation", help="file with the ids of the validation images")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--averaged", type=int, default=5, help="networks whose weights are averaged")
    parser.add_argument("--apart", type=int, default=20, help="steps between them")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--norm", default="percentile:1,99.8")
    parser.add_argument("--augment", default="flip", help="Basin's --augment for flips with probability 1/4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("torch", "basin"), help="train only one of the two, score what is there")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    train, validation = read_pairs(options.data, options.validation)
    print(f"{len(train)} training and {len(validation)} validation images")
    checkpoints = [options.steps - options.apart * k for k in reversed(range(options.averaged))]
    seeds = list(map(int, options.seeds.split(",")))

    if options.only != "basin":
        cache = options.out / "fields.npy"
        if not cache.exists():
            torch.set_num_threads(1)  # one object is too little work for several threads
            numpy.save(cache, numpy.stack([compute_vector_field(torch.from_numpy(labels)[None], 11, alpha=10).numpy()
                                           for _, _, labels in train]))
        fields = numpy.load(cache)
        torch.set_num_threads(options.threads)
        for seed in seeds:
            torch_train(train, fields, options, seed, checkpoints)
    if options.only != "torch":
        folder = link_folder(options.data, [name for name, _, _ in train], options.out / "train")
        for seed in seeds:
            basin_train(folder, options, seed, checkpoints)

    names, images, truths = zip(*validation)
    folder = link_folder(options.data, names, options.out / "validation")
    results_file = options.out / "results.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else {}
    decoders = {"torchvf": lambda file: torch_decode(file, images, options.norm)}
    if options.only != "torch":
        decoders["Basin"] = lambda file: basin_decode(file, folder, names, options)
    means = {}
    for trained, prefix in (("torchvf", "torch"), ("Basin", "basin")):
        for seed in seeds:
            file = options.out / f"{prefix}-{seed}.safetensors"
            average([options.out / f"{prefix}-{seed}-{step}.safetensors" for step in checkpoints], file)
            for decoder, decode in decoders.items():
                key = f"{trained} trained, {decoder} decoded, seed {seed}"
                if file.exists() and key not in results:
                    results[key] = mean_ap50(truths, decode(file))
                    results_file.write_text(json.dumps(results, indent=1))
        for decoder in decoders:
            by_seed = [results.get(f"{trained} trained, {decoder} decoded, seed {seed}") for seed in seeds]
            if None not in by_seed:
                means[trained, decoder] = sum(by_seed) / len(by_seed)
                print(f"{trained} trained, {decoder} decoded: AP50 {means[trained, decoder]:.4f}, by seed "
                      + " ".join(f"{score:.4f}" for score in by_seed))
    if len(means) == 4:
        report = common.Report()
        gap = means["Basin", "Basin"] - means["torchvf", "torchvf"]
        report.check("Basin's own score against torchvf's own", abs(gap) <= TOLERANCE, f"{gap:+.4f} AP50")
        report.finish()


if __name__ == "__main__":
    numpy, torch, safetensors_torch, Image = common.modules("numpy", "torch", "safetensors.torch", "PIL.Image")
    safe_open = common.modules("safetensors").safe_open
    linear_sum_assignment = common.modules("scipy.optimize").linear_sum_assignment
    common.modules("edt", "sklearn")
    common.use_torchvf()
    import torch_side
    from torchvf.numerics import compute_vector_field, init_values_semantic, interp_vf, ivp_solver
    from torchvf.utils.clustering import cluster
    main()
