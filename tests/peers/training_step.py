"""Training steps of H1 and H2: Basin's losses, gradients, running statistics and Adam against torchvf under autograd.

Both start from Basin's initial weights, see the same batch, and drop the same elements in the dropout. Gradients are
judged against torchvf's network in double precision, beside those of PyTorch in float32: a ReLU whose input is 0 up to
rounding may go either way, so both are off by 1e-3 or so in norm where such an input is met, by 1e-5 where none is.
Winograd convolution rounds differently and meets more of them. So the limits are narrow for direct convolution, which
is what every machine with AVX2 can run, and wider for what this machine would choose.
"""
import copy
import os
import pathlib
import subprocess

import common

numpy, torch = common.modules("numpy", "torch")
common.modules("edt")
common.use_torchvf()
import torch_side  # noqa: E402
from torchvf.models import get_model  # noqa: E402
from torchvf.numerics import compute_vector_field  # noqa: E402

STEPS, RATE = 4, 2e-4


class GivenDropout(torch.nn.Module):
    """Multiplies by the mask that Basin's dropout used in step `step`."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.step = folder, 0

    def forward(self, x):
        mask = numpy.fromfile(self.folder / f"dropout{self.step}", numpy.float32)
        return x * torch.from_numpy(mask).view_as(x).to(x.dtype)


def make_batch(folder, side):
    labels = [common.sample_labels(side, side, side * side // 1500, seed) for seed in (1, 2)]
    mask = torch.from_numpy(numpy.stack(labels)[:, None] > 0).float()
    field = torch.stack([compute_vector_field(torch.from_numpy(each)[None], 11) for each in labels])
    image = 0.6 * mask + 0.2 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    for name, tensor in (("image", image), ("field", field), ("mask", mask)):
        tensor.numpy().astype(numpy.float32).tofile(folder / name)
    return image, field, mask


def slices(folder, table, values):
    """{name: values} of one of Basin's flat buffers."""
    flat = numpy.fromfile(folder / values, numpy.float32)
    rows = [line.split() for line in (folder / table).read_text().splitlines()]
    return {name: flat[int(first):int(first) + int(count)] for name, first, count in rows}


def gradients(network):
    return {name: value.grad.numpy().ravel().astype(float) for name, value in network.named_parameters()}


def distance(ours, theirs):
    """|ours - theirs| / |theirs| over all tensors, and the largest of a single tensor."""
    off = {name: numpy.linalg.norm(ours[name] - theirs[name]) for name in theirs}
    size = {name: numpy.linalg.norm(theirs[name]) for name in theirs}
    total = sum(x * x for x in off.values()) ** 0.5 / sum(x * x for x in size.values()) ** 0.5
    return total, max(off[name] / size[name] for name in theirs)


# How the program runs, and what its gradient and the losses of its steps may be off by.
DIRECT = ("direct", {"BASIN_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, 2e-3, (1e-5, 1e-4, 5e-4, 1e-3))
CHOSEN = ("as chosen", {}, 1e-2, (1e-5, 5e-4, 5e-3, 5e-3))


def compare(report, folder, program, kind, side, way):
    how, environment, gradient_limit, loss_limits = way
    case = f"{kind} {side}, {how}"
    image, field, mask = make_batch(folder, side)
    subprocess.run([program, folder, str(side), "1" if kind == "h1" else "2", str(STEPS), str(RATE)], check=True,
                   env={**os.environ, **environment})
    network, loss = get_model(kind), torch_side.losses()
    values = slices(folder, "learnt.txt", "values")
    report.check(f"{case}: names of parameters", set(values) == {name for name, _ in network.named_parameters()})
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(values[name]).view_as(parameter))
    network.backbone.Middle[1] = dropout = GivenDropout(folder)
    exact = copy.deepcopy(network).double()
    logit, predicted = exact(image.double())
    loss(logit.float(), predicted.float(), field, mask).backward()

    optimizer = torch_side.adam(network.parameters(), RATE)
    for step in range(STEPS):
        dropout.step = step
        optimizer.zero_grad()
        logit, predicted = network(image)
        value = loss(logit, predicted, field, mask)
        value.backward()
        if step == 0:
            all_ours, worst_ours = distance(slices(folder, "learnt.txt", "gradient"), gradients(exact))
            all_theirs, worst_theirs = distance(gradients(network), gradients(exact))
            report.check(f"{case}: gradient", all_ours <= gradient_limit and worst_ours <= 5 * gradient_limit,
                         f"off by {all_ours:.1e}, in one tensor {worst_ours:.1e}; PyTorch in float32 {all_theirs:.1e}, "
                         f"{worst_theirs:.1e}")
            buffers = dict(network.named_buffers())
            for name, ours in slices(folder, "statistics.txt", "running").items():
                off = numpy.abs(ours - buffers[name].numpy()).max()
                if off > 1e-5 * max(1, buffers[name].abs().max().item()):
                    report.check(f"{case}: {name}", False, f"off by {off:.1e}")
        optimizer.step()
        ours = float(numpy.fromfile(folder / f"loss{step}", numpy.float32)[0])
        # Early Adam steps follow the sign of a gradient however small: rounding grows fast.
        report.check(f"{case}: loss of step {step}", abs(ours - value.item()) <= loss_limits[step],
                     f"{ours:.6f} and {value.item():.6f}")


def main():
    program = pathlib.Path(os.environ.get("BASIN_TRAINING_STEP", common.ROOT / "build/cpu/basin_training_step"))
    if not program.is_file():
        common.skip(f"no program at {program}: build the target basin_training_step")
    torch.set_num_threads(1)
    report = common.Report()
    for kind, side in (("h1", 64), ("h1", 128), ("h2", 96)):
        for way in (DIRECT, CHOSEN):
            with common.scratch() as folder:
                compare(report, pathlib.Path(folder), program, kind, side, way)
    report.finish()


if __name__ == "__main__":
    main()
