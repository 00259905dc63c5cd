"""The network, losses and decoding of the vector-field method in PyTorch, written from its description alone, for
torchvf_gpu.py, which does not need torchvf. Parameters have the names of torchvf's state_dict."""
import torch
from torch import nn
from torch.nn import functional


def conv_norm(inputs, outputs, size):
    return [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs)]


def conv_block(inputs, outputs, size=3):
    return nn.Sequential(*conv_norm(inputs, outputs, size), nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(inputs, outputs, 3)
        self.conv2, self.bn2 = conv_norm(outputs, outputs, 3)
        self.downsample = nn.Sequential(*conv_norm(inputs, outputs, 1))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.downsample(x))


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_block_0, self.conv_block_1 = conv_block(inputs, outputs), conv_block(outputs, outputs)

    def forward(self, x, skip):
        x = functional.interpolate(x, scale_factor=2, mode="nearest")
        return self.conv_block_1(self.conv_block_0(torch.cat([x, skip], 1)))


class H1(nn.Module):
    """[N,1,H,W] to a logit [N,1,H,W] and a field [N,2,H,W]: one decoder for both."""

    def __init__(self, width=32):
        super().__init__()
        w = width
        self.backbone, self.head_0 = nn.Module(), nn.Module()
        for k, inputs in enumerate((1, w, 2 * w)):
            setattr(self.backbone, f"Encoder_{k}", Residual(inputs, w << k))
        self.backbone.Middle = nn.Sequential(conv_block(4 * w, 8 * w), nn.Dropout(0.2), conv_block(8 * w, 8 * w))
        for k, (low, skip) in enumerate(((8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w))):
            setattr(self.head_0, f"decoder_{k}", Up(low + skip, skip))
        for h, outputs in enumerate((1, 2)):
            setattr(self, f"final_{h}",
                    nn.Sequential(conv_block(w, w, 1), conv_block(w, w, 1), nn.Conv2d(w, outputs, 1)))

    def forward(self, x):
        skips = []
        for k in range(3):
            skips.append(getattr(self.backbone, f"Encoder_{k}")(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.backbone.Middle(x)
        for k in range(3):
            x = getattr(self.head_0, f"decoder_{k}")(x, skips[2 - k])
        return self.final_0(x), self.final_1(x)


def by_gather(field, points):
    """The field [N,2,H,W] at points [N,2,P] (x, y), bilinear; outside the image that of the nearest border pixel. Four
    gathers, as a user of PyTorch writes it."""
    n, _, height, width = field.shape
    x, y = points[:, 0].clamp(0, width - 1), points[:, 1].clamp(0, height - 1)
    x0, y0 = x.detach().floor().clamp(max=max(width - 2, 0)), y.detach().floor().clamp(max=max(height - 2, 0))
    u, v = (x - x0)[:, None], (y - y0)[:, None]
    first, flat = (y0 * width + x0).long()[:, None].expand(-1, 2, -1), field.flatten(2)
    right, down = int(width > 1), width if height > 1 else 0
    top = flat.gather(2, first) * (1 - u) + flat.gather(2, first + right) * u
    bottom = flat.gather(2, first + down) * (1 - u) + flat.gather(2, first + down + right) * u
    return top * (1 - v) + bottom * v


def by_grid_sample(field, points):
    """The same interpolation by PyTorch's own kernel."""
    height, width = field.shape[2:]
    x, y = points[:, 0] * (2 / max(width - 1, 1)) - 1, points[:, 1] * (2 / max(height - 1, 1)) - 1
    grid = torch.stack([x, y], -1)[:, None]
    return functional.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=True)[:, :, 0]


def pixels(height, width, device):
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()]).float()


def euler(field, points, interpolate, step, steps):
    """Every position after the start."""
    positions = []
    for _ in range(steps):
        points = points + step * interpolate(field, points)
        positions.append(points)
    return positions


def losses(logit, field, field_true, mask, interpolate):
    """IVP with 8 Euler steps of 0.25 from every pixel, MSE, Tversky with 0.5 and 0.5; unit weights."""
    n, _, height, width = field.shape
    start = pixels(height, width, field.device).expand(n, -1, -1)
    predicted = torch.stack(euler(field, start, interpolate, 0.25, 8))
    true = torch.stack(euler(field_true, start, interpolate, 0.25, 8))
    p = functional.logsigmoid(logit).exp()
    common, false_positive, false_negative = (p * mask).sum(), (p * (1 - mask)).sum(), ((1 - p) * mask).sum()
    tversky = 1 - common / (common + 0.5 * false_positive + 0.5 * false_negative).clamp(min=1e-7)
    return functional.mse_loss(predicted, true) + functional.mse_loss(field, field_true) + tversky * (mask.sum() > 0)


def starts(size, tile, overlap):
    """First pixels of tiles along a side of at least one tile, the last one moved back into it."""
    count = 1 if size <= tile else int(1 + (size - tile) / (tile - overlap)) + 1
    return sorted({min(k * (tile - overlap), size - tile) for k in range(count)})


def tiled(network, image, tile=256, overlap=50, batch=2):
    """The network's maps [3,H,W] of an image [H,W] of at least one tile: tiles trimmed by overlap / 4 on inner sides,
    averaged where they overlap."""
    height, width = image.shape
    total = torch.zeros(3, height, width, device=image.device)
    times = torch.zeros(height, width, device=image.device)
    corners = [(y, x) for y in starts(height, tile, overlap) for x in starts(width, tile, overlap)]
    trim = overlap // 4
    for at in range(0, len(corners), batch):
        some = corners[at:at + batch]
        maps = torch.cat(network(torch.stack([image[None, y:y + tile, x:x + tile] for y, x in some])), 1).float()
        for (y, x), part in zip(some, maps):
            top, left = trim * (y > 0), trim * (x > 0)
            bottom, right = tile - trim * (y + tile < height), tile - trim * (x + tile < width)
            rows, columns = slice(y + top, y + bottom), slice(x + left, x + right)
            total[:, rows, columns] += part[:, top:bottom, left:right]
            times[rows, columns] += 1
    return total / times
