"""Networks and losses of the methods fc (FCRNet) and wn (W-Net) in PyTorch, written from their descriptions: the authors
wrote them for TensorFlow 1. fcrnet.py and wnet.py compare Basin with that original code."""
import common

numpy, torch = common.modules("numpy", "torch")
from torch import nn  # noqa: E402


class UNet(nn.Module):
    """The five-stage U-Net of both: two convolutions and ReLU at each size, nearest up-sampling, a 2x2 convolution."""

    def __init__(self, channels, width):
        super().__init__()
        widths = [width << k for k in range(5)]
        self.down = nn.ModuleList(self.block(i, o) for i, o in zip([channels, *widths], widths))
        self.up = nn.ModuleList(nn.Sequential(nn.Upsample(scale_factor=2), nn.ZeroPad2d((0, 1, 0, 1)),
                                              nn.Conv2d(2 * w, w, 2), nn.ReLU()) for w in widths[-2::-1])
        self.join = nn.ModuleList(self.block(2 * w, w) for w in widths[-2::-1])

    @staticmethod
    def block(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1), nn.ReLU())

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(torch.max_pool2d(skips[-1], 2) if skips else x)
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1]):
            x = join(torch.cat([skip, up(x)], 1))
        return x

    def convolutions(self, prefix=""):
        """{Basin's name: convolution}."""
        found = {f"{prefix}encoder_{k}.conv_{j}": block[2 * j] for k, block in enumerate(self.down) for j in range(2)}
        for k, (up, join) in enumerate(zip(self.up, self.join)):
            found |= {f"{prefix}decoder_{k}.{part}": conv
                      for part, conv in (("up", up[2]), ("conv_0", join[0]), ("conv_1", join[2]))}
        return found


class FcrNet(nn.Module):
    """[N,C,H,W] to scores [N,K,H,W], before power_activation."""

    def __init__(self, channels, width, colours):
        super().__init__()
        self.net, self.colours = UNet(channels, width), nn.Conv2d(width, colours, 3, padding=1)

    def forward(self, image):
        return self.colours(self.net(image))

    def convolutions(self):
        return {**self.net.convolutions(), "colours": self.colours}


class WNet(nn.Module):
    """[N,C,H,W] to the distance [N,1,H,W] and unit vectors [N,E,H,W]."""

    def __init__(self, channels, width, embedding=8):
        super().__init__()
        self.first, self.second = UNet(channels, width), UNet(channels + width, width)
        self.distance, self.forwarded = nn.Conv2d(width, 1, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.embedding = nn.Conv2d(width, embedding, 3, padding=1)

    def forward(self, image):
        first = self.first(image)
        forwarded = nn.functional.normalize(self.forwarded(first), dim=1, eps=1e-6)
        second = self.second(torch.cat([image, forwarded], 1))
        return self.distance(first).relu(), nn.functional.normalize(self.embedding(second), dim=1)

    def convolutions(self):
        return {**self.first.convolutions("first."), **self.second.convolutions("second."),
                "distance": self.distance, "forwarded": self.forwarded, "embedding": self.embedding}


def he_normal(network):
    """The first values of both methods: He's normal distribution, cut at twice its deviation, and biases of 0."""
    for conv in network.convolutions().values():
        deviation = (2 / conv.weight[0].numel()) ** 0.5 / 0.87962566103423978
        nn.init.trunc_normal_(conv.weight, 0, deviation, -2 * deviation, 2 * deviation)
        nn.init.zeros_(conv.bias)


def power_activation(e, alpha):
    """|e|^alpha over the sum of these. The 1e-4 added to |e| is Basin's: without it a pixel's gradient can vanish."""
    size = e.abs() + 1e-4
    powers = (size / size.detach().amax(1, keepdim=True)) ** alpha
    return powers / powers.sum(1, keepdim=True)


def embedding_loss(maps, labels, adjacent, unit_centres, inter_weight=1):
    """The loss of both, as in the authors' code, of maps [N,C,H,W] for labels [N,H,W] and adjacent objects [N,K,K]:
    1 - the product of a pixel's map and its object's centre, mean over pixels; and the mean product of the centres of
    adjacent objects. W-Net's centres have the length 1, FCRNet's are plain means."""
    flat, ids, count = maps.flatten(2).transpose(1, 2), labels.flatten(1), adjacent.shape[-1]
    index = ids[:, :, None].expand(-1, -1, maps.shape[1])
    sums = torch.zeros(len(maps), count, maps.shape[1]).scatter_add(1, index, flat)
    sizes = torch.zeros(len(maps), count).scatter_add(1, ids, torch.ones(ids.shape))
    centres = sums / sizes.clamp_min(1)[:, :, None]
    if unit_centres:
        centres = nn.functional.normalize(centres, dim=2)
    intra = 1 - (flat * torch.gather(centres, 1, index)).sum(2).mean()
    products = ((centres @ centres.transpose(1, 2)).abs() * adjacent).sum((1, 2))
    return intra + inter_weight * (products / adjacent.sum((1, 2)).clamp_min(1)).mean()


def adjacency(labels, radius=10):
    """[N,K,K]: which objects of labels [N,H,W] are near each other: a pixel of one lies in a disc around a pixel of the
    other. The background is adjacent to all."""
    near = numpy.zeros((len(labels), int(labels.max()) + 1, int(labels.max()) + 1), numpy.float32)
    height, width = labels.shape[1:]
    for dy in range(min(int(radius), height - 1) + 1):
        half = min(round(radius * (1 - dy * dy / (radius * radius)) ** 0.5), width - 1)
        for dx in range(-half if dy else 1, half + 1):  # half of the disc, which is symmetric
            one, other = labels[:, :height - dy, max(0, -dx):width - max(0, dx)], labels[:, dy:, max(0, dx):width + min(0, dx)]
            where = numpy.nonzero(one != other)
            near[where[0], one[where], other[where]] = 1
    near = numpy.maximum(near, near.transpose(0, 2, 1))
    for each, ids in zip(near, labels):
        there = numpy.unique(ids)
        each[0] = each[:, 0] = 0
        if there[0] == 0:
            each[0, there[1:]] = each[there[1:], 0] = 1
    return torch.from_numpy(near)
