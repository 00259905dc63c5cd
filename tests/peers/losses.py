"""Training losses: the value and the gradient of `basin loss` against torchvf's losses under autograd.

Square crops only: torchvf's batched interpolation is wrong on others.
"""
import pathlib

import common

numpy, torch = common.modules("numpy", "torch")
common.use_torchvf()
from torchvf.losses import IVPLoss, TverskyLoss  # noqa: E402


def smooth_field(batch, side, amplitude, seed):
    """A random field [N,2,H,W], smooth enough that trajectories bend but do not jump."""
    torch.manual_seed(seed)
    coarse = amplitude * torch.randn(batch, 2, side // 4, side // 4)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")


def basin_loss(folder, kind, predicted, truth, *options):
    for name, tensor in (("predicted", predicted), ("truth", truth)):
        numpy.save(folder / f"{name}.npy", tensor.detach().numpy())
    printed = common.basin("loss", kind, folder / "predicted.npy", folder / "truth.npy", *options,
                           "--out-grad", folder / "gradient.npy")
    return float(printed.split()[-1]), numpy.load(folder / "gradient.npy")


def compare(report, folder, name, kind, loss, predicted, truth, *options):
    predicted.requires_grad_(True)
    value = loss(predicted, truth)
    value.backward()
    theirs = predicted.grad.numpy()
    ours_value, ours = basin_loss(folder, kind, predicted, truth, *options)
    relative = abs(ours_value - value.item()) / abs(value.item())
    report.check(f"{name} value", relative <= 1e-5, f"{ours_value:.7g} and {value.item():.7g}")
    if ours.shape != theirs.shape:
        report.check(f"{name} gradient", False, f"shape {ours.shape} against {theirs.shape}")
        return
    # Where a trajectory hits a grid line, up to rounding, the two one-sided derivatives differ: allows for a few.
    off = numpy.abs(ours - theirs) / numpy.abs(theirs).max()
    report.check(f"{name} gradient", (off > 1e-4).mean() <= 1e-4,
                 f"largest difference {off.max():.1e} of the largest value, {int((off > 1e-4).sum())} above 1e-4")


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for side, amplitude, step, steps in ((64, 1.0, 0.25, 8), (256, 2.0, 0.25, 8), (48, 4.0, 0.5, 5)):
            predicted, truth = (smooth_field(2, side, amplitude, seed) for seed in (0, 1))
            title = f"{side}x{side} fields of size {amplitude}"
            compare(report, folder, f"ivp {title}, {steps} steps of {step}", "ivp", IVPLoss(dx=step, n_steps=steps),
                    predicted, truth, "--step", step, "--steps", steps)
            predicted, truth = (smooth_field(2, side, amplitude, seed) for seed in (2, 3))
            compare(report, folder, f"mse {title}", "mse", torch.nn.MSELoss(), predicted, truth)
        for a, b in ((0.5, 0.5), (0.55, 0.45)):
            torch.manual_seed(4)
            logit, mask = 3 * torch.randn(2, 1, 96, 96), (torch.rand(2, 1, 96, 96) < 0.3).float()
            compare(report, folder, f"tversky {a},{b}", "tversky", TverskyLoss(alpha=a, beta=b), logit, mask,
                    "--tversky", f"{a},{b}")
    report.finish()


if __name__ == "__main__":
    main()
