"""torchvf's network, losses and optimizer under PyTorch, as network_speed.py times them.

Run as a program it is a worker: one request a line on stdin, {"task", "layout", "compile", "precision", "threads",
"reps"}, one line of JSON with the milliseconds of each repetition on stdout. It runs under any Python that has a
PyTorch (1.13 or newer), so that the distribution's and the newest can be compared in one interleaved session.
"""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402

common.use_torchvf()
import torch  # noqa: E402
from torchvf.losses import IVPLoss, TverskyLoss  # noqa: E402
from torchvf.models import get_model  # noqa: E402

BATCH, SIDE = 2, 256


def losses(alpha=0.5, beta=0.5):
    """torchvf's training losses: IVP with 8 Euler steps of 0.25, MSE, Tversky; unit weights."""
    ivp, mse, tversky = IVPLoss(dx=0.25, n_steps=8), torch.nn.MSELoss(), TverskyLoss(alpha=alpha, beta=beta)
    return lambda logit, field, field_true, mask: ivp(field, field_true) + mse(field, field_true) + tversky(logit, mask)


def adam(parameters, rate):
    """The fastest Adam of this PyTorch release for the CPU: fused if available."""
    parameters = list(parameters)
    try:
        return torch.optim.Adam(parameters, lr=rate, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.Adam(parameters, lr=rate)


def discs(side):
    """A mask of discs [BATCH,1,side,side] and a field [BATCH,2,side,side] that points to their centres, length 1."""
    pitch = 32
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    d_x, d_y = (pitch / 2 - x % pitch).float(), (pitch / 2 - y % pitch).float()
    distance = torch.hypot(d_x, d_y)
    mask = (distance < 12).float()
    field = torch.stack([d_x, d_y]) / distance.clamp_min(1) * mask
    return mask.expand(BATCH, 1, side, side).contiguous(), field.expand(BATCH, 2, side, side).contiguous()


class Work:
    """One way to run the network: layout, compiled or eager, precision. Built once, then repeated."""

    def __init__(self, layout, compiled, precision):
        torch.manual_seed(0)
        memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format
        self.model = get_model("h1").to(memory_format=memory)
        self.image = torch.rand(BATCH, 1, SIDE, SIDE).to(memory_format=memory)
        self.mask, self.field = discs(SIDE)
        self.precision, loss = precision, losses()

        def forward_loss(image, field_true, mask):
            with self.autocast():
                logit, field = self.model(image)
            return loss(logit.float(), field.float(), field_true, mask)

        self.loss = torch.compile(forward_loss) if compiled else forward_loss
        self.network = torch.compile(self.model) if compiled else self.model
        self.optimizer = adam(self.model.parameters(), 2e-4)

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def train(self):
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.image, self.field, self.mask).backward()
        self.optimizer.step()

    def infer(self):
        self.model.eval()
        with torch.inference_mode(), self.autocast():
            self.network(self.image)


def main():
    built = {}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        torch.set_num_threads(ask["threads"])
        key = ask["task"], ask["layout"], ask["compile"], ask["precision"], ask["threads"]
        try:
            if key not in built:
                start = time.perf_counter()
                built[key] = Work(ask["layout"], ask["compile"], ask["precision"])
                for _ in range(2):
                    getattr(built[key], ask["task"])()
                print(f"# {key} ready in {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
            milliseconds = []
            for _ in range(ask["reps"]):
                start = time.perf_counter()
                getattr(built[key], ask["task"])()
                milliseconds.append(1e3 * (time.perf_counter() - start))
            print(json.dumps({"ms": milliseconds}), flush=True)
        except Exception as error:  # a setting that this PyTorch cannot run is reported in the table
            print(json.dumps({"error": str(error).splitlines()[0][:200]}), flush=True)


if __name__ == "__main__":
    main()
