"""Training steps of H1 and H2: Basin's losses, gradients, running statistics and Adam against torchvf under autograd.

Both start from Basin's initial weights, see the same batch, and drop the same elements in the dropout. Gradients are
compared with those of torchvf's network in double precision, as are PyTorch's in float32: a ReLU whose input is 0 up to
rounding may go either way, so both have a relative error of about 1e-3 in norm with such an input, and 1e-5 without.
Winograd convolution rounds differently and has more such inputs. So the tolerance is narrow for direct convolution,
which every machine with AVX2 can run, and wider for the algorithm that Basin chooses on this machine.
"""
import copy

import common
import method_side as side

numpy, torch = common.modules("numpy", "torch")
common.modules("edt")
common.use_torchvf()
import torch_side  # noqa: E402
from torchvf.models import get_model  # noqa: E402
from torchvf.numerics import compute_vector_field  # noqa: E402

STEPS, RATE = 4, 2e-4


class GivenDropout(torch.nn.Module):
    """Multiplies by the mask of Basin's dropout in step `step`."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.step = folder, 0

    def forward(self, x):
        mask = self.folder.read(f"dropout0-{self.step}")
        return x * torch.from_numpy(mask).view_as(x).to(x.dtype)


def make_batch(folder, size):
    labels = [common.sample_labels(size, size, size * size // 1500, seed) for seed in (1, 2)]
    mask = torch.from_numpy(numpy.stack(labels)[:, None] > 0).float()
    field = torch.stack([compute_vector_field(torch.from_numpy(each)[None], 11) for each in labels])
    image = 0.6 * mask + 0.2 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    folder.write(image=image.numpy(), target=field.numpy(), mask=mask.numpy())
    return image, field, mask


def gradients(network):
    return {name: value.grad.numpy().ravel().astype(float) for name, value in network.named_parameters()}


def distance(ours, theirs):
    """|ours - theirs| / |theirs| over all tensors, and the largest of a single tensor."""
    off = {name: numpy.linalg.norm(ours[name] - theirs[name]) for name in theirs}
    size = {name: numpy.linalg.norm(theirs[name]) for name in theirs}
    total = sum(x * x for x in off.values()) ** 0.5 / sum(x * x for x in size.values()) ** 0.5
    return total, max(off[name] / size[name] for name in theirs)


# How the program runs, and the tolerances for its gradient and the losses of its steps.
DIRECT = ("direct", {"BASIN_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "BASIN_WINOGRAD": "0"}, 2e-3, (1e-5, 1e-4, 5e-4, 1e-3))
CHOSEN = ("as chosen", {}, 1e-2, (1e-5, 5e-4, 5e-3, 5e-3))


def compare(report, folder, kind, size, way):
    how, environment, gradient_limit, loss_limits = way
    case = f"{kind} {size}, {how}"
    image, field, mask = make_batch(folder, size)
    dropout = {"p": 0.2, "layer": 0, "shape": [2, 256, size // 8, size // 8]}
    folder.ask("train", "vf-" + kind, environment=environment, shape=[2, 1, size, size], steps=STEPS, rate=RATE,
               dropout=[dropout])
    network, loss = get_model(kind), torch_side.losses()
    values = folder.slices("learnt.txt", "values")
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
            all_ours, worst_ours = distance(folder.slices("learnt.txt", "gradient"), gradients(exact))
            all_theirs, worst_theirs = distance(gradients(network), gradients(exact))
            report.check(f"{case}: gradient", all_ours <= gradient_limit and worst_ours <= 5 * gradient_limit,
                         f"off by {all_ours:.1e}, in one tensor {worst_ours:.1e}; PyTorch in float32 {all_theirs:.1e}, "
                         f"{worst_theirs:.1e}")
            buffers = dict(network.named_buffers())
            for name, ours in folder.slices("statistics.txt", "running").items():
                off = numpy.abs(ours - buffers[name].numpy()).max()
                if off > 1e-5 * max(1, buffers[name].abs().max().item()):
                    report.check(f"{case}: {name}", False, f"off by {off:.1e}")
        optimizer.step()
        ours = float(folder.read(f"loss{step}")[0])
        # Early Adam steps follow a gradient's sign, however small the gradient is, so that rounding errors grow fast.
        report.check(f"{case}: loss of step {step}", abs(ours - value.item()) <= loss_limits[step],
                     f"{ours:.6f} and {value.item():.6f}")


def main():
    side.program()
    torch.set_num_threads(1)
    report = common.Report()
    for kind, size in (("h1", 64), ("h1", 128), ("h2", 96)):
        for way in (DIRECT, CHOSEN):
            with common.scratch() as folder:
                compare(report, side.Folder(folder), kind, size, way)
    report.finish()


if __name__ == "__main__":
    main()
