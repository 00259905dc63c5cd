"""Times the segmentation of whole images by a vector field network: Basin's `segment` against torchvf.

    TORCHVF=... python segment_speed.py --images DIR [--model nuclei-fluo] [--count 8] [--rounds 3] [--compiled]

Both sides take the same weights and the same decoding settings, those of Basin's model, and segment the first `count`
images of 520 x 696 pixels in DIR. torchvf runs its network on the whole image, channels first and last, eager (and
compiled with --compiled), its integrator and scikit-learn's DBSCAN with all cores; the fastest layout counts. Basin runs
without a flag, so that its tiling and its search for the scale count too. Reading and writing files are left out on
both sides. Rounds alternate. The number of objects that each side finds is printed: they differ where Basin chooses
another scale. The times mean little on a machine that is busy with other work.
"""
import argparse
import os
import pathlib
import statistics
import time

import accuracy
import common

SHAPE = (520, 696)


class Peer:
    def __init__(self, model_file, decoding, layout, compiled):
        torch, safetensors_torch = common.modules("torch", "safetensors.torch")
        common.use_torchvf()
        from torchvf.models import get_model
        network = get_model("h1").eval()
        state = {k: v for k, v in safetensors_torch.load_file(model_file).items() if k in network.state_dict()}
        missing = network.load_state_dict(state, strict=False).missing_keys
        if [k for k in missing if not k.endswith("num_batches_tracked")]:
            raise SystemExit(f"failed: {model_file} lacks {missing[0]}")
        self.format = torch.channels_last if layout == "nhwc" else torch.contiguous_format
        self.network = network.to(memory_format=self.format)
        if compiled:
            self.network = torch.compile(self.network)
        self.decoding = decoding

    def segment(self, image):
        """The number of objects in a normalised image [H,W]."""
        import torch
        from sklearn.cluster import DBSCAN
        from torchvf.numerics import init_values_semantic, interp_vf, ivp_solver
        d = self.decoding
        with torch.inference_mode():
            batch = torch.from_numpy(image)[None, None].to(memory_format=self.format)
            logit, field = self.network(batch)
            mask = torch.sigmoid(logit) > d["threshold"]
            points = ivp_solver(interp_vf(field), init_values_semantic(mask, device="cpu"), dx=d["step"],
                                n_steps=d["steps"])[-1]
            found = DBSCAN(eps=d["eps"], min_samples=d["min_samples"], n_jobs=-1).fit_predict(points.T.numpy())
        return int(found.max(initial=-1)) + 1


def basin_seconds(model, images, threads, out):
    common.basin("segment", *images, "--model", model, "--out", out, "--save", "labels", "--device", "cpu", threads=threads)
    run = common.load_json(pathlib.Path(out) / "run.json")
    return {stage: t for stage, t in run["seconds"].items() if stage not in ("read", "write")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--model", default=str(common.ROOT / "models/pretrained/nuclei-fluo.safetensors"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    numpy, torch, picture = common.modules("numpy", "torch", "PIL.Image")
    torch.set_num_threads(options.threads)
    accuracy.numpy = numpy
    files = []
    for path in sorted(options.images.glob("*_img.png")):
        with picture.open(path) as image:
            if (image.height, image.width) == SHAPE and image.mode == "L":
                files.append(path)
    files = files[:options.count]
    if not files:
        common.skip(f"{options.images} has no grey images of {SHAPE[0]} x {SHAPE[1]} pixels")
    with common.scratch() as folder:
        out = pathlib.Path(folder) / "out"
        basin_seconds(options.model, files[:1], options.threads, out)
        run = common.load_json(out / "run.json")
        decoding = {name: run["config"]["decoding"][name] for name in ("threshold", "step", "steps", "eps", "min_samples")}
        images = [accuracy.normalise(numpy.asarray(picture.open(path)), run["config"]["normalisation"]) for path in files]
        peers = {f"{layout} {'compiled' if c else 'eager'}": Peer(options.model, decoding, layout, c)
                 for c in ([False, True] if options.compiled else [False]) for layout in ("nchw", "nhwc")}
        times = {name: [] for name in ("basin", *peers)}
        for peer in peers.values():
            peer.segment(images[0])
        for _ in range(options.rounds):
            stages = basin_seconds(options.model, files, options.threads, out)
            times["basin"].append(sum(stages.values()))
            print("basin", ", ".join(f"{stage} {t:.3f} s" for stage, t in stages.items()), flush=True)
            for name, peer in peers.items():
                start = time.perf_counter()
                found = [peer.segment(image) for image in images]
                times[name].append(time.perf_counter() - start)
                print(f"{name} {times[name][-1]:.3f} s, {sum(found)} objects", flush=True)
    for what, of in (("min", min), ("median", statistics.median)):
        best = min(peers, key=lambda name: of(times[name]))
        print(f"{len(files)} images: Basin {of(times['basin']):.3f} s, {of(times[best]) / of(times['basin']):.2f} times as "
              f"fast as torchvf {best} ({what})")


if __name__ == "__main__":
    main()
