"""Object-guided segmentation with random weights: Basin's maps, and its masks in boxes, against the network of the public
code.

The weights travel as a state_dict of that network in a .safetensors file, the way a converted checkpoint arrives.
Batch-norm statistics and affine terms are random too, so that a skipped one shows.
"""
import os
import pathlib
import sys
import types

import common

numpy, torch, safetensors_torch = common.modules("numpy", "torch", "safetensors.torch")
image_module = common.modules("PIL.Image")

TOLERANCE = 1e-4
FRAME = 512


def public_network():
    """The class Network; modules that only its plots need are replaced by empty ones."""
    root = pathlib.Path(os.environ.get("OBJGUIDED", ""))
    if not (root / "models" / "network.py").is_file():
        common.skip("set OBJGUIDED to a checkout of yijingru/ObjGuided-Instance-Segmentation")
    sys.path.insert(0, str(root))
    for name in ("matplotlib", "matplotlib.pyplot"):
        sys.modules.setdefault(name, types.ModuleType(name))
    from models.network import Network
    return Network


def random_network(seed):
    torch.manual_seed(seed)
    network = public_network()({"hm": 1, "wh": 2, "reg": 2}, pretrained=False, down_ratio=4, final_kernel=1,
                               head_conv=256).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    # Boxes of some 40 to 60 px with scores around one half, and maps that vary.
    with torch.no_grad():
        for head, factor in ((network.hm, 20), (network.wh, 20), (network.reg, 20), (network.seg_head, 5)):
            head[-1].weight.mul_(factor)
        network.hm[-1].bias.fill_(0)
        network.wh[-1].bias.copy_(torch.tensor([15.0, 10.0]))
    return network


def load(out, name):
    return numpy.load(out / f"picture_{name}.npy")


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        network = random_network(seed=1)
        model = folder / "model.safetensors"
        safetensors_torch.save_file({k: v.contiguous() for k, v in network.state_dict().items()}, model)
        pixels = numpy.random.default_rng(2).integers(0, 256, (FRAME, FRAME, 3), dtype=numpy.uint8)
        image_module.fromarray(pixels).save(folder / "picture.png")
        out = folder / "out"
        common.basin("segment", folder / "picture.png", "--model", model, "--out", out, "--norm", "divide", "--save",
                     "heat,size,offset,boxes,masks", "--device", "cpu")
        batch = torch.from_numpy(pixels).float().permute(2, 0, 1)[None] / 255 - 0.5
        with torch.inference_mode():
            maps = network.forward_dec(batch)
            heat = 1 / (1 + numpy.exp(-load(out, "heat").astype(float)))
            report.close("probabilities of centres", heat, maps["hm"][0].numpy(), TOLERANCE)
            report.check("centres vary", heat.std() > 0.01, f"{heat.std():.3f}")
            report.close("sizes", load(out, "size"), maps["wh"][0].numpy(), TOLERANCE)
            report.close("offsets", load(out, "offset"), maps["reg"][0].numpy(), TOLERANCE)
            boxes = load(out, "boxes")[0]
            report.check("boxes", len(boxes) > 20, f"{len(boxes)}")
            theirs = network.forward_seg_test({"pr_bboxes": boxes.astype(float)}, maps)["pr_rois"]
        theirs = numpy.concatenate([roi.numpy().ravel() for roi in theirs])
        report.check("masks vary", theirs.std() > 0.01, f"{theirs.std():.3f}")
        report.close("masks", load(out, "masks")[0, 0], theirs, TOLERANCE)
    report.finish()


if __name__ == "__main__":
    main()
