"""The work of torchvf on a GPU: Basin against PyTorch (torch_peer.py), scikit-learn and CuPy in the same session.

    BASIN=build/cuda/basin python torchvf_gpu.py [NAME...] [--rounds 3] [--seconds 170] [--json FILE]

NAME: train, infer, compiled (both under torch.compile, batch 2, which takes minutes to warm up), integrate, components,
field, segment, dbscan. PyTorch runs in each of its settings, Basin in each precision that its device supports; they
take turns, so that other work of the machine affects all equally, and the median over all rounds counts. Results that
both sides must agree on are compared before they are timed. The output is a Markdown table of Basin's best time against
the peer's best, both overall and at equal precision, and a list of what was left out and why. After every task, --json
FILE is rewritten with all times, and the table is saved beside it as .md. After --seconds no new work is started, and a
compilation is stopped. `--device cpu --small` runs everything on little work in about a minute, to test this script.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import statistics
import struct
import time
import zlib

import common

numpy, torch = common.modules("numpy", "torch")
import torch_peer  # noqa: E402

first, last = torch.contiguous_format, torch.channels_last
by_gather, by_grid_sample = torch_peer.by_gather, torch_peer.by_grid_sample
SETTINGS = {  # name: precision, layout, interpolation of the IVP loss, how it is launched
    "eager fp32": ("fp32", first, by_gather, "eager"),
    "channels last fp32, grid_sample": ("fp32", last, by_grid_sample, "eager"),
    "eager TF32": ("tf32", first, by_gather, "eager"),
    "channels last TF32, grid_sample": ("tf32", last, by_grid_sample, "eager"),
    "channels last, autocast bf16, grid_sample": ("bf16", last, by_grid_sample, "eager"),
    "fp32, grid_sample, CUDA graph": ("fp32", first, by_grid_sample, "graph"),
    "channels last TF32, grid_sample, CUDA graph": ("tf32", last, by_grid_sample, "graph"),
    "channels last, autocast bf16, grid_sample, CUDA graph": ("bf16", last, by_grid_sample, "graph"),
    "compiled TF32 (max-autotune, CUDA graphs)": ("tf32", first, by_gather, "compiled"),
    "compiled, autocast bf16 (max-autotune, CUDA graphs)": ("bf16", last, by_gather, "compiled"),
}
has = {name: importlib.util.find_spec(name) is not None for name in ("sklearn", "scipy", "cupy")}


class Session:
    def __init__(self, options):
        self.options, self.cuda = options, options.device == "cuda"
        self.device = torch.device("cuda" if self.cuda else "cpu")
        self.report, self.began = common.Report(), time.monotonic()
        self.ms, self.notes, self.without, self.omitted = {}, [], set(), {}
        self.end = self.began + options.seconds

    def left(self):
        return self.end - time.monotonic()

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def time(self, work, most=20, budget=0.3):
        """Milliseconds of a call, several times; a call is repeated between two looks at the clock to fill 2 ms."""
        work(), self.wait()
        calls, series = 1, []
        start = time.perf_counter()
        while len(series) < most and (not series or time.perf_counter() - start < budget):
            begin = time.perf_counter()
            for _ in range(calls):
                work()
            self.wait()
            ms = 1e3 * (time.perf_counter() - begin)
            if self.cuda and not series and ms < 2 and calls < 1024:
                calls *= 2
                continue
            series.append(ms / calls)
        return series

    def bench(self, folder, *arguments, precision="fp32"):
        """Rows of one `basin bench` by name and shape; none if the device does not support the precision."""
        if (arguments[0], precision) in self.without:
            return {}
        out = folder / "bench.json"
        with self.limited():
            common.basin("bench", *arguments, "--device", self.options.device, "--precision", precision, "--reps",
                         1 if self.options.small else 5, "--json", out)
        rows = {(row["name"], row["shape"]): row for row in common.load_json(out) if row["precision"] == precision}
        if not any(name not in ("memory", "matrix") for name, _ in rows):
            self.without.add((arguments[0], precision))
        return rows

    def add(self, task, side, what, precision, series):
        if series:
            self.ms.setdefault((task, side, what, precision), []).extend(series)

    def omit(self, task, side, what, precision, why):
        """Adds a row without a time to the table, unless the row has or will have one."""
        self.omitted.setdefault((task, side, what, precision), why)

    def precisions(self):
        return ("fp32", "tf32", "bf16") if self.cuda else ("fp32",) if self.options.small else ("fp32", "bf16")

    @contextlib.contextmanager
    def limited(self):
        """Stops work that takes longer than the time left: compilation for a GPU may take minutes."""
        def late(*_):
            raise TimeoutError("no time left")
        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, max(self.left(), 0.1))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def set_precision(precision):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


class Network:
    """One way to run the network in PyTorch, on a batch of 256x256."""

    def __init__(self, session, setting, batch):
        self.precision, layout, interpolate, self.launched = SETTINGS[setting]
        self.device, self.graph = session.device, None
        torch.manual_seed(0)
        self.model = torch_peer.H1().to(self.device, memory_format=layout)
        self.image = torch.rand(batch, 1, 256, 256, device=self.device).to(memory_format=layout)
        self.mask = (torch.rand(batch, 1, 256, 256, device=self.device) > 0.7).float()
        self.field = torch.randn(batch, 2, 256, 256, device=self.device)
        fused = {"fused": True, "capturable": self.launched == "graph"} if session.cuda else {}
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4, **fused)

        def forward_loss(image, field, mask):
            with self.autocast():
                logit, predicted = self.model(image)
            return torch_peer.losses(logit.float(), predicted.float(), field, mask, interpolate)

        compile_it = (lambda f: torch.compile(f, mode="max-autotune")) if self.launched == "compiled" else (lambda f: f)
        self.loss, self.network = compile_it(forward_loss), compile_it(self.model)

    def autocast(self):  # cached weights must not be kept in a graph
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16",
                              cache_enabled=self.launched != "graph")

    def run(self, work):
        """Does the work, or replays its graph, which is recorded after three runs on another stream."""
        if self.launched != "graph":
            return work()
        if self.graph is None:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    work()
            torch.cuda.current_stream().wait_stream(side)
            self.optimizer.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                work()
            self.graph = graph
        return self.graph.replay()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.image, self.field, self.mask).backward()
        self.optimizer.step()

    def train(self):
        set_precision(self.precision)
        self.model.train()
        self.run(self.step)

    def infer(self):
        set_precision(self.precision)
        self.model.eval()
        with torch.inference_mode(), self.autocast():
            self.run(lambda: self.network(self.image))


def network(session, folder, task, launched=("eager", "graph")):
    batches = (2, 32) if session.cuda and not session.options.small and "compiled" not in launched else (2,)
    ways = [name for name, (precision, _, _, how) in SETTINGS.items()
            if how in launched and (session.cuda or (precision, how) == ("fp32", "eager"))]
    built, dead = {}, set()
    for _ in range(session.options.rounds):
        for precision in session.precisions() if "eager" in launched else ():
            rows = session.bench(folder, {"train": "train-step", "infer": "infer"}[task], precision=precision)
            for (name, shape), row in rows.items():
                if name.startswith(("train-step", "infer")) and int(shape.split()[1].split("x")[0]) in batches:
                    session.add(f"{task}, batch {shape.split()[1].split('x')[0]}", "Basin", "", precision,
                                [row["median_ms"]])
        for way in ways:
            for batch in batches:
                of = (f"{task}, batch {batch}", "torch", way, SETTINGS[way][0])
                if (way, batch) in dead:
                    continue
                if session.left() < 5:
                    session.omit(*of, "no time left")
                    continue
                try:
                    with session.limited():
                        if (way, batch) not in built:
                            built[way, batch] = Network(session, way, batch)
                            for _ in range(3 if session.cuda else 1):
                                getattr(built[way, batch], task)()
                        series = session.time(getattr(built[way, batch], task), most=1 if session.options.small else 20)
                    session.add(*of, series)
                except Exception as error:  # a setting that this PyTorch or GPU cannot run is reported in the table
                    dead.add((way, batch))
                    built.pop((way, batch), None)
                    session.omit(*of, first_line(error))
    if session.cuda:
        built.clear()
        torch.cuda.empty_cache()


def first_line(error):
    return (str(error) or repr(error)).splitlines()[0][:200].replace("|", "/")


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous().numpy()
        kind = {"float32": "F32", "int64": "I64"}[value.dtype.name]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_png(path, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def same_network(session, folder):
    """Copies the weights and statistics of PyTorch's network to Basin's and checks that both give the same maps."""
    torch.manual_seed(1)
    model = torch_peer.H1().eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.05, 0.5)
    image = numpy.random.default_rng(1).integers(0, 256, (256, 256), dtype=numpy.uint8)
    write_safetensors(folder / "h1.safetensors", model.state_dict())
    write_png(folder / "image.png", image)
    common.basin("segment", folder / "image.png", "--model", folder / "h1.safetensors", "--out", folder / "maps", "--save",
                 "field,logit", "--norm", "divide", "--tile", 256, "--tiling", "exact", "--device", session.options.device)
    set_precision("fp32")
    with torch.inference_mode():
        theirs = model.to(session.device)(torch.from_numpy(image).to(session.device)[None, None].float() / 255)
    for what, expected in zip(("logit", "field"), theirs):
        ours = numpy.load(next((folder / "maps").glob(f"*{what}*.npy")))
        expected = expected[0].cpu().numpy()
        session.report.close(f"network, {what}", ours.reshape(expected.shape), expected, 1e-4)


def train(session, folder):
    network(session, folder, "train")


def infer(session, folder):
    same_network(session, folder)
    network(session, folder, "infer")


def compiled(session, folder):
    """At most half of the remaining time, so that later tasks get the rest."""
    end = session.end
    try:
        session.end -= session.left() / 2
        for task in ("train", "infer") if session.cuda else ():
            network(session, folder, task, ("compiled",))
    finally:
        session.end = end


def integrate(session, folder):
    side = 300 if session.options.small else 1000
    torch.manual_seed(0)
    coarse = 1.5 * torch.randn(1, 2, side // 6, side // 6)
    field = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").contiguous()
    start = torch_peer.pixels(side, side, session.device)[None]
    numpy.save(folder / "field.npy", field[0].numpy())
    numpy.save(folder / "points.npy", numpy.ascontiguousarray(start[0].T.cpu().numpy()))
    common.basin("integrate", folder / "field.npy", "--points", folder / "points.npy", "--device",
                 session.options.device, "--out", folder / "moved.npy")
    ours, field = numpy.load(folder / "moved.npy"), field.to(session.device)
    set_precision("fp32")
    with torch.inference_mode():
        for way in (torch_peer.by_gather, torch_peer.by_grid_sample):
            theirs = torch_peer.euler(field, start, way, 0.1, 25)[-1][0].T.cpu().numpy()
            session.report.close(f"Euler, {side * side} points, torch {way.__name__}", ours, theirs, 1e-4)
        for _ in range(session.options.rounds):
            rows = session.bench(folder, "integrate", "--input", folder / "field.npy")
            for (name, _), row in rows.items():
                if name.startswith("integrate"):
                    session.add(f"Euler, {side * side} points", "Basin", "", "", [row["median_ms"]])
            for way in (torch_peer.by_gather, torch_peer.by_grid_sample):
                session.add(f"Euler, {side * side} points", "torch", way.__name__, "",
                            session.time(lambda: torch_peer.euler(field, start, way, 0.1, 25)[-1]))


def dbscan(session, folder):
    if not has["sklearn"]:
        session.note("dbscan: left out: no scikit-learn here")
        return
    from sklearn.cluster import DBSCAN
    from cluster import pulled_discs
    points = pulled_discs(300 if session.options.small else 1350, 2.5, 0.15)
    numpy.save(folder / "points.npy", points)
    common.basin("cluster", folder / "points.npy", "--eps", 2.2, "--min-samples", 15, "--device",
                 session.options.device, "--out", folder / "labels.npy")
    task, theirs = f"DBSCAN, {len(points)} points", None
    for jobs in (-1,) if session.options.small else (-1, 1):
        if theirs is not None and session.left() < session.options.seconds / 2:
            session.omit(task, f"scikit-learn on {os.cpu_count()} cores", f"n_jobs {jobs}", "", "no time left")
            continue
        start = time.perf_counter()
        theirs = DBSCAN(eps=2.2, min_samples=15, n_jobs=jobs).fit(points).labels_
        session.add(task, f"scikit-learn on {os.cpu_count()} cores", f"n_jobs {jobs}", "",
                    [1e3 * (time.perf_counter() - start)])
    session.report.equal(task, numpy.load(folder / "labels.npy"), theirs)
    for _ in range(session.options.rounds):
        for (name, _), row in session.bench(folder, "dbscan", "--input", folder / "points.npy").items():
            if name.startswith("dbscan"):
                session.add(task, "Basin", "", "", [row["median_ms"]])


def components(session, folder):
    side = 1024 if session.options.small else 4096
    y, x = numpy.mgrid[:side, :side]
    mask = (y % 20 - 10) ** 2 + (x % 20 - 10) ** 2 < 72
    numpy.save(folder / "mask.npy", mask)
    common.basin("components", folder / "mask.npy", "--connectivity", 4, "--device", session.options.device, "--out",
                 folder / "labels.npy")
    ours, task, peers = numpy.load(folder / "labels.npy"), f"components, {side}x{side}", {}
    if has["scipy"]:
        from scipy import ndimage
        session.report.equal(f"{task}, scipy", ours, ndimage.label(mask)[0])
        peers["scipy on the host"] = lambda: ndimage.label(mask)
    if has["cupy"] and session.cuda:
        import cupy
        from cupyx.scipy import ndimage as on_gpu
        there = cupy.asarray(mask)
        session.report.equal(f"{task}, CuPy, objects", numpy.array(int(ours.max())),
                             numpy.array(int(on_gpu.label(there)[1])))
        peers["CuPy"] = lambda: (on_gpu.label(there), cupy.cuda.get_current_stream().synchronize())
    for _ in range(session.options.rounds):
        for (name, shape), row in session.bench(folder, "components", "--input", folder / "mask.npy").items():
            if name.startswith("components") and shape.endswith("4-connected"):
                session.add(task, "Basin", "", "", [row["median_ms"]])
        for peer, work in peers.items():
            session.add(task, peer, "", "", session.time(work, most=3))
    if not peers:
        session.note("components: no scipy and no CuPy here to compare with")


def crowd(side, pitch=20):
    """Discs on a lattice, each with its own label."""
    y, x = numpy.mgrid[:side, :side]
    across = -(-side // pitch)
    inside = (y % pitch - pitch // 2) ** 2 + (x % pitch - pitch // 2) ** 2 < 81
    labels = numpy.where(inside, 1 + y // pitch * across + x // pitch, 0)
    present, labels = numpy.unique(labels, return_inverse=True)
    return labels.reshape(side, side).astype(numpy.int32)


def field(session, folder):
    """Basin's field of every object against one distance transform of the foreground, which is only part of it."""
    side = 256 if session.options.small else 1024
    labels, peers = crowd(side), {}
    numpy.save(folder / "labels.npy", labels)
    task = f"field of {labels.max()} objects, {side}x{side}"
    if has["scipy"]:
        from scipy import ndimage
        peers["scipy on the host, one distance transform"] = lambda: ndimage.distance_transform_edt(labels > 0)
    if has["cupy"] and session.cuda:
        import cupy
        from cupyx.scipy import ndimage as on_gpu
        there = cupy.asarray(labels > 0)
        peers["CuPy, one distance transform"] = lambda: (on_gpu.distance_transform_edt(there),
                                                         cupy.cuda.get_current_stream().synchronize())
    for _ in range(session.options.rounds):
        for (name, _), row in session.bench(folder, "field", "--input", folder / "labels.npy").items():
            if name == "field, sdf":
                session.add(task, "Basin", "", "", [row["median_ms"]])
        for peer, work in peers.items():
            session.add(task, peer, "", "", session.time(work, most=3))


def labels_of(session, folder):
    """Basin's decoding of the true maps of labels.npy."""
    common.basin("integrate", folder / "field.npy", "--mask", folder / "labels.npy", "--step", 0.1, "--steps", 25,
                 "--device", session.options.device, "--out", folder / "ends.npy")
    common.basin("cluster", folder / "ends.npy", "--eps", 2.25, "--min-samples", 15, "--mask", folder / "labels.npy",
                 "--device", session.options.device, "--out", folder / "found.npy")
    return numpy.load(folder / "found.npy")


def same_objects(a, b):
    """Whether two label images contain the same objects, whatever their ids."""
    if a.shape != b.shape:
        return False
    pairs = numpy.unique(numpy.stack([a.ravel(), b.ravel()]), axis=1)
    alone = all(len(numpy.unique(of)) == pairs.shape[1] for of in pairs)
    return alone and all((x == 0) == (y == 0) for x, y in pairs.T)


def segment(session, folder):
    """From an image on the host to labels there. An untrained network's foreground is arbitrary, so both sides run the
    network in full and then decode the maps of a perfect one."""
    side = 300 if session.options.small else 2048
    labels = crowd(side)
    numpy.save(folder / "labels.npy", labels)
    common.basin("field", folder / "labels.npy", "--out", folder / "field.npy")
    there = torch.from_numpy(numpy.load(folder / "field.npy")).to(session.device)[None]
    mask = torch.from_numpy(labels > 0).to(session.device)
    image, task = labels.astype(bool) * numpy.uint8(200), f"segment, {side}x{side}"
    kinds = {name: value[0] for name, value in SETTINGS.items()
             if value[3] == "eager" and (session.cuda or value[0] == "fp32")}

    def points_of(model, way, batch):
        set_precision(kinds[way])
        with torch.inference_mode(), torch.autocast(session.device.type, torch.bfloat16, kinds[way] == "bf16"):
            pixels = torch.from_numpy(image).to(session.device).float() / 255
            torch_peer.tiled(lambda x: model(x.to(memory_format=SETTINGS[way][1])), pixels, batch=batch)
        with torch.inference_mode():
            start = mask.nonzero().flip(1).T.float()[None].contiguous()
            return torch_peer.euler(there, start, SETTINGS[way][2], 0.1, 25)[-1][0].T.cpu().numpy()

    models = {way: torch_peer.H1().to(session.device, memory_format=SETTINGS[way][1]).eval() for way in kinds}
    before = {}
    for _ in range(min(session.options.rounds, 2)):
        for precision in session.precisions():
            rows = session.bench(folder, "segment", "--input", folder / "labels.npy", precision=precision)
            for (name, _), row in rows.items():
                if name == "segment":
                    session.add(task, "Basin", "", precision, [row["median_ms"]])
        for way, batch in ((way, batch) for way in kinds for batch in ((2, 16) if session.cuda else (2,))):
            series = session.time(lambda: points_of(models[way], way, batch), most=1 if session.options.small else 3)
            before[way, batch] = min([before.get((way, batch), float("inf")), *series])
    if not has["sklearn"]:
        session.note(f"{task}: no scikit-learn here to cluster with; before it PyTorch takes {min(before.values()):.1f} ms")
        return
    from sklearn.cluster import DBSCAN
    ours = None
    for precision in dict.fromkeys(kinds.values()):  # once each, as clustering takes nearly all of the time
        way, batch = min((key for key in before if kinds[key[0]] == precision), key=before.get)
        what = f"{way}, batch {batch}, {before[way, batch]:.1f} ms before clustering"
        if session.left() < session.options.seconds / (3 if precision != "fp32" else 6):
            session.omit(task, "torch and scikit-learn", what, precision, "no time left to cluster")
            continue
        start = time.perf_counter()
        found = numpy.zeros(labels.shape, numpy.int32)
        points = points_of(models[way], way, batch)
        found[labels > 0] = DBSCAN(eps=2.25, min_samples=15, n_jobs=-1).fit(points).labels_ + 1
        session.add(task, "torch and scikit-learn", what, precision, [1e3 * (time.perf_counter() - start)])
        session.report.check(f"{task}, objects of PyTorch and scikit-learn", found.max() == labels.max(),
                             f"{found.max()} of {labels.max()}")
        if ours is None:
            ours = labels_of(session, folder)
        session.report.check(f"{task}, the objects of Basin", same_objects(ours, found))


def table(session):
    """Every time, then the ratios: of the best of each side, and of the best alike in precision."""
    lines = ["| what | side | setting | precision | min, ms | median, ms |", "|---|---|---|---|---|---|"]
    for (task, side, what, precision), series in session.ms.items():
        lines.append(f"| {task} | {side} | {what} | {precision} | {min(series):.3f} | {statistics.median(series):.3f} |")
    for key, why in session.omitted.items():
        if key not in session.ms:
            lines.append("| " + " | ".join(key) + f" | left out: {why} | |")
    lines += ["", "| what | Basin, ms | best peer of those run | peer, ms | ratio |", "|---|---|---|---|---|"]
    ratios = []
    middle = {key: statistics.median(series) for key, series in session.ms.items()}
    for task in dict.fromkeys(key[0] for key in middle):
        kinds = dict.fromkeys(key[3] for key in middle if key[0] == task)
        for kind in [None, *(kinds if len(kinds) > 1 else [])]:
            of = {key: ms for key, ms in middle.items() if key[0] == task and kind in (None, key[3])}
            ours = {key: ms for key, ms in of.items() if key[1] == "Basin"}
            theirs = {key: ms for key, ms in of.items() if key[1] != "Basin"}
            if not ours or not theirs:
                continue
            best, peer = min(ours, key=ours.get), min(theirs, key=theirs.get)
            without = sum(key[0] == task and kind in (None, key[3]) and key not in middle for key in session.omitted)
            ratio = theirs[peer] / ours[best]
            ratios.append(dict(task=task, precision=kind, basin_ms=ours[best], basin_precision=best[3],
                               peer=" ".join(peer[1:3]).strip(), peer_ms=theirs[peer], peers_left_out=without, ratio=ratio))
            lines.append(f"| {task}, {kind or 'best of each'} | {ours[best]:.3f} {best[3]} | {ratios[-1]['peer']}"
                         f"{f'; {without} left out' if without else ''} | {theirs[peer]:.3f} | {ratio:.2f} |")
    lines += ["", "Basin's DBSCAN and components are timed from data on the device to labels there; scikit-learn and scipy "
              "have theirs on the host."]
    return ratios, "\n".join(lines + session.notes) + "\n"


def write(session, name):
    """The results so far."""
    ratios, text = table(session)
    if session.options.json:
        path = pathlib.Path(session.options.json)
        values = {"device": name, "torch": torch.__version__, "failed_checks": session.report.failed, "ratios": ratios,
                  "times": [[*key, series] for key, series in session.ms.items()],
                  "left_out": [[*key, why] for key, why in session.omitted.items() if key not in session.ms],
                  "notes": session.notes}
        for to, what in ((path, json.dumps(values, indent=1) + "\n"), (path.with_suffix(".md"), text)):
            part = to.with_name(to.name + ".part")
            part.write_text(what)
            part.replace(to)
    return text


def main():
    tasks = {task.__name__: task for task in (train, infer, compiled, integrate, components, field, segment, dbscan)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*tasks, []])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="little work, one round: a test of this script")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600, help="start no new work after this long")
    parser.add_argument("--json", help="save all times to this file, and the table beside it")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        common.skip("this PyTorch finds no GPU; --device cpu --small tests the script without one")
    common.basin_path()
    if options.small:
        options.rounds = 1
        torch.set_num_threads(1)  # on a busy machine, threads that wait for each other take many times as long
    torch.backends.cudnn.benchmark = True
    session = Session(options)
    name = torch.cuda.get_device_name() if session.cuda else "the processor"
    print(f"torch {torch.__version__} and Basin on {name}", flush=True)
    with common.scratch() as folder:
        for task in options.names or tasks:
            if session.left() < 1:
                session.note(f"{task}: left out: no time left")
                continue
            print(f"{task}: {session.left():.0f} s are left", flush=True)
            try:
                tasks[task](session, pathlib.Path(folder))
            except TimeoutError:
                session.note(f"{task}: stopped: no time left")
            except (Exception, SystemExit) as ended:  # the other tasks still run
                session.report.check(task, False, str(ended) or repr(ended))
            write(session, name)
    print("\n" + write(session, name), flush=True)
    session.report.finish()


if __name__ == "__main__":
    main()
