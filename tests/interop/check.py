"""Files that `basin export` and `basin train` write, opened by the libraries of other programs. Missing modules are reported as skipped.

    BASIN=build/cpu/basin python tests/interop/check.py [--strict]      --strict: a skipped check counts as failed
"""
import importlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASIN = pathlib.Path(os.environ.get("BASIN", ROOT / "build/cpu/basin"))
counts = {"passed": 0, "FAILED": 0, "skipped": 0}


def report(result, what, detail=""):
    counts[result] += 1
    print(f"{result:7} {what}{': ' + detail if detail else ''}", flush=True)


def check(what, good, detail=""):
    report("passed" if good else "FAILED", what, detail)


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        report("skipped", name, str(error))
        return None


def bioformats():
    """The command that starts a tool of Bio-Formats; None if Java or the package with its classes is missing."""
    package = importlib.util.find_spec("bioformats")
    jars = sorted(pathlib.Path(package.origin).parent.glob("jars/*.jar")) if package else []
    if shutil.which("java") is None or not jars:
        report("skipped", "Bio-Formats", "no java" if jars else "no module named 'bioformats'")
        return None
    return ["java", "-cp", str(jars[0])]


def sample(numpy):
    """Ellipses with holes, objects in two pieces, single pixels and objects at the edge; an image of two channels."""
    random = numpy.random.default_rng(1)
    y, x = numpy.mgrid[:300, :400]
    labels = numpy.zeros((300, 400), numpy.int32)
    for k in range(1, 60):
        cy, cx, a, b, turn = random.uniform((0, 0, 4, 4, 0), (300, 400, 25, 15, 3.1))
        u = (x - cx) * numpy.cos(turn) + (y - cy) * numpy.sin(turn)
        v = (y - cy) * numpy.cos(turn) - (x - cx) * numpy.sin(turn)
        r = (u / a) ** 2 + (v / b) ** 2
        labels[(r <= 1) & (r > 0.15 * (k % 3 == 0))] = k
    labels[20, 30], labels[21, 31], labels[100:104, 200:203] = 60, 60, 61
    _, labels = numpy.unique(labels, return_inverse=True)
    return labels.reshape(300, 400).astype(numpy.uint16), random.integers(0, 4000, (300, 400)).astype(numpy.uint16)


def check_csv(numpy, measure, path, labels, image):
    rows = numpy.genfromtxt(path, delimiter=",", names=True)
    ours = {"area": "area", "perimeter": "perimeter", "axis_major_length": "axis_major_length",
            "axis_minor_length": "axis_minor_length", "eccentricity": "eccentricity", "solidity": "solidity",
            "intensity_mean": "intensity_mean", "intensity_min": "intensity_min", "intensity_max": "intensity_max",
            "intensity_std": "intensity_std"}
    objects = measure.regionprops(labels, image)
    check("csv: one row for each object", [o.label for o in objects] == list(rows["label"]))
    check("csv: areas equal", all(o.area == a for o, a in zip(objects, rows["area"])))
    for name, theirs in ours.items():
        worst = max(abs(float(getattr(o, theirs)) - v) / max(1e-6, abs(float(getattr(o, theirs))))
                    if float(getattr(o, theirs)) or v else 0 for o, v in zip(objects, rows[name]))
        check(f"csv: {name}", worst < 0.01, f"largest relative difference {worst:.1e}")
    worst = max(max(abs(o.centroid[0] - y), abs(o.centroid[1] - x))
                for o, y, x in zip(objects, rows["centroid_y"], rows["centroid_x"]))
    check("csv: centroid", worst < 1e-6, f"{worst:.1e} px")
    boxes = numpy.stack([rows[n] for n in ("bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1")], axis=1)
    check("csv: bounding box", (boxes == [o.bbox for o in objects]).all())
    turns = [abs(numpy.sin(o.orientation - t)) for o, t in zip(objects, rows["orientation"]) if o.eccentricity > 0.1]
    check("csv: orientation", max(turns) < 0.01, f"{max(turns):.1e}")


def check_stacks(numpy, tifffile, roifile, folder, plane):
    """Stacks of one sample image, shifted from plane to plane, as ImageJ and OME store them."""
    java = bioformats()
    stacks = {"t": ("TYX", {"imagej": True}), "tz": ("TZYX", {"imagej": True}), "z": ("ZYX", {"ome": True})}
    for stem, (axes, form) in stacks.items():
        shape = (3, 2)[:len(axes) - 2]
        images = numpy.stack([numpy.roll(plane, 2 * k, 1) for k in range(numpy.prod(shape))]).reshape(shape + plane.shape)
        details = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25} if "ome" in form else {"axes": axes, "unit": "um"}
        tifffile.imwrite(folder / f"{stem}.tif", images, metadata=details, resolution=(4, 4), photometric="minisblack", **form)
        subprocess.run([BASIN, "segment", folder / f"{stem}.tif", "--model", "nuclei-fluo", "--scale", "1", "--device", "cpu",
                        "--save", "labels,ome,rois,csv", "--out", folder / "stacks"], check=True, stdout=subprocess.DEVNULL)
        with tifffile.TiffFile(folder / f"stacks/{stem}_masks.tif") as tiff:
            series, tags = tiff.series[0], tiff.pages[0].tags
            masks = series.asarray()
            check(f"stack {axes}: axes and size of the labels", (series.axes, series.shape) == (axes, images.shape))
            width = tags["XResolution"].value
            check(f"stack {axes}: pixel size", width[0] / width[1] == 4 and tiff.imagej_metadata["unit"] == "micron")
        check_ome(numpy, tifffile, folder / f"stacks/{stem}_masks.ome.tif", axes, masks)
        for name in (f"{stem}_masks.tif", f"{stem}_masks.ome.tif") if java else ():
            check_bioformats(tifffile, java, folder / "stacks" / name, axes, masks)
        found = [(p, l) for p, labels in enumerate(masks.reshape(-1, *plane.shape)) for l in numpy.unique(labels) if l > 0]
        rows = numpy.genfromtxt(folder / f"stacks/{stem}_objects.csv", delimiter=",", names=True)
        check(f"stack {axes}: a line for each object of each plane", found == list(zip(rows["plane"], rows["label"])))
        if roifile:
            rois = roifile.roiread(folder / f"stacks/{stem}_rois.zip")
            where = [(r.t_position - 1) * shape[1] + r.z_position - 1 if len(shape) > 1 else r.position - 1 for r in rois]
            check(f"stack {axes}: positions of the ROIs", where == [p for p, _ in found])


def check_ome(numpy, tifffile, path, axes, labels):
    """Labels as OME-TIFF: tifffile and ome-types find their axes, sizes, values and pixel size."""
    with tifffile.TiffFile(path) as tiff:
        series, xml = tiff.series[0], tiff.ome_metadata
        check(f"ome {axes}: axes and values", tiff.is_ome and series.axes == axes and (series.asarray() == labels).all())
    types = module("ome_types")
    if types is None:
        return
    pixels = types.from_tiff(path).images[0].pixels
    sizes = {"T": pixels.size_t, "Z": pixels.size_z, "C": pixels.size_c, "Y": pixels.size_y, "X": pixels.size_x}
    check(f"ome {axes}: ome-types reads the sizes", sizes == {"T": 1, "Z": 1, "C": 1} | dict(zip(axes, labels.shape)), str(sizes))
    check(f"ome {axes}: ome-types reads the type and the pixel size",
          pixels.type.value == str(labels.dtype) and (pixels.physical_size_x, pixels.physical_size_y) == (0.25, 0.25) and
          pixels.physical_size_x_unit.value == "\u00b5m")
    try:
        types.validate_xml(xml)
        fault = ""
    except Exception as error:  # of lxml or xmlschema, whichever is installed
        fault = str(error)
    check(f"ome {axes}: the description follows the schema", not fault, fault)


def check_bioformats(tifffile, java, path, axes, labels):
    """Bio-Formats, the reader of Fiji, QuPath and OMERO, finds sizes and pixel size, and converts to equal values."""
    shown = subprocess.run(java + ["loci.formats.tools.ImageInfo", "-nopix", "-no-upgrade", "-omexml", path],
                           check=True, capture_output=True, text=True).stdout
    pixels = dict(re.findall(r'(\w+)="([^"]*)"', re.search("<Pixels [^>]*>", shown)[0]))
    sizes = {"Z": 1, "C": 1, "T": 1} | dict(zip(axes, labels.shape))
    check(f"Bio-Formats, {path.name}: sizes", all(int(pixels["Size" + a]) == n for a, n in sizes.items()), str(sizes))
    check(f"Bio-Formats, {path.name}: pixel size",
          (float(pixels["PhysicalSizeX"]), float(pixels["PhysicalSizeY"])) == (0.25, 0.25))
    copy = path.with_name("copy.tif")
    subprocess.run(java + ["loci.formats.tools.ImageConverter", "-no-upgrade", "-overwrite", path, copy], check=True,
                   stdout=subprocess.DEVNULL)
    same = (tifffile.imread(copy).reshape(labels.shape) == labels).all()
    check(f"Bio-Formats, {path.name}: values", same)


def check_pyramid(numpy, tifffile, folder, plane):
    """Labels of an image in blocks: Bio-Formats finds the lower resolutions of the OME-TIFF."""
    java = bioformats()
    if java is None:
        return
    tifffile.imwrite(folder / "large.tif", numpy.tile(plane, (7, 6)), tile=(256, 256), photometric="minisblack")
    subprocess.run([BASIN, "segment", folder / "large.tif", "--model", "nuclei-fluo", "--scale", "1", "--device", "cpu",
                    "--tiling", "exact", "--tile", "256", "--threads", "1", "--max-memory", "170M", "--save", "labels,ome", "--out",
                    folder / "large"], check=True, stdout=subprocess.DEVNULL)
    path = folder / "large/large_masks.ome.tif"
    shown = subprocess.run(java + ["loci.formats.tools.ImageInfo", "-nopix", "-no-upgrade", "-noflat", path], check=True,
                           capture_output=True, text=True).stdout
    check("Bio-Formats, pyramid: resolutions", "Resolutions = 2" in shown and "sizeX[1] = 600" in shown)


def ome(axes, version, unit="micrometer"):
    """The attributes of an OME-Zarr image whose array is named 0."""
    kinds = {"t": "time", "c": "channel"}
    listed = [{"name": a, "type": kinds.get(a, "space")} | ({} if a in kinds else {"unit": unit}) for a in axes]
    scale = [{"type": "scale", "scale": [1.0 if a in kinds else 0.5 for a in axes]}]
    image = {"axes": listed, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    return {"multiscales": [image | {"version": "0.4"}]} if version == 2 else {"ome": {"version": "0.5", "multiscales": [image]}}


def check_zarr(numpy, tifffile, folder, labels, image):
    """Stores of the zarr library, versions 2 and 3, have the same measurements as the TIFF; ome-zarr reads what Basin writes."""
    zarr, codecs = module("zarr"), module("numcodecs")
    if zarr is None or codecs is None:
        return
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    tifffile.imwrite(folder / "z_masks.tif", labels)
    blosc = [codecs.Blosc(name, 5, shuffle) for name in ("lz4", "lz4hc", "zstd", "zlib", "blosclz") for shuffle in (0, 1, 2)]
    forms = [(2, {"compressors": c, "chunk_key_encoding": {"name": "v2", "separator": s}})
             for s in "/." for c in [None, codecs.Zlib(), codecs.GZip(), codecs.Zstd(), *blosc]]
    v3 = zarr.codecs
    forms += [(3, {"compressors": c}) for c in [None, v3.GzipCodec(), v3.ZstdCodec(), [v3.ZstdCodec(), v3.Crc32cCodec()],
                                                *(v3.BloscCodec(cname=n) for n in ("lz4", "lz4hc", "zstd", "zlib", "blosclz"))]]
    forms += [(3, {"shards": (256, 256), "compressors": c}) for c in [None, v3.ZstdCodec()]]
    forms += [(3, {"shards": {"shape": (256, 256), "index_location": "start"}}), (3, {"serializer": v3.BytesCodec(endian="big")}),
              (3, {"filters": [v3.TransposeCodec(order=(1, 0))]})]
    types = ["u1", "<u2", ">u2", "<u4", ">u4", "<f4", ">f4", "<f8", ">f8"]
    cases = [(image, version, form) for version, form in forms] + [(image.astype(t), 2, {}) for t in types]
    cases += [(image.astype(t.replace(">", "<")), 3, {}) for t in types]
    for number, (pixels, version, form) in enumerate(cases):
        store = folder / f"z{number}.ome.zarr"
        group = zarr.open_group(store, mode="w", zarr_format=version, attributes=ome("yx", version))
        group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, chunks=(128, 64), **form)[:] = pixels
        tifffile.imwrite(folder / "z.tif", pixels.astype(pixels.dtype.newbyteorder("<")))
        for path in (folder / "z.tif", store):
            out = folder / ("zt" if path.suffix == ".tif" else "zz")
            subprocess.run([BASIN, "export", folder / "z_masks.tif", "--image", path, "--save", "csv", "--out", out], **run)
        want, got = ([line.split(",") for line in (folder / d / "z_objects.csv").read_text().splitlines()] for d in ("zt", "zz"))
        detail = f"version {version}, {pixels.dtype.str}, {form}"
        check("zarr: values of a store", len(want) > 2 and want == [line[:len(want[0])] for line in got], detail)
        check("zarr: pixel size", got[0][len(want[0])] == "centroid_y_um", detail)
    subprocess.run([BASIN, "export", folder / "z_masks.tif", "--image", folder / "z0.ome.zarr", "--save", "zarr", "--out",
                    folder / "zw"], **run)
    written = folder / "zw/z_masks.ome.zarr"
    check("zarr: the zarr library reads labels", (zarr.open_group(written, mode="r")["0"][:] == labels).all())
    reader, location = module("ome_zarr.reader"), module("ome_zarr.io")
    if reader and location:
        nodes = list(reader.Reader(location.parse_url(written))())
        check("zarr: ome-zarr reads labels", len(nodes) == 1 and (numpy.asarray(nodes[0].data[0]) == labels).all())
        check("zarr: ome-zarr reads the pixel size", nodes[0].metadata["coordinateTransformations"][0][0]["scale"] == [0.5, 0.5])
    writer = module("ome_zarr.writer")
    if writer is None:
        return
    from ome_zarr.format import FormatV04, FormatV05
    movie = numpy.stack([numpy.roll(image, k, 1) for k in range(12)]).reshape(2, 2, 3, *image.shape)  # t, c, z
    for form in (FormatV04(), FormatV05()):
        store = folder / f"movie_{form.version}.ome.zarr"
        group = zarr.open_group(store, mode="w", zarr_format=form.zarr_format)
        writer.write_image(movie, group, axes="tczyx", fmt=form, scaler=None)
        for t, c, z in ((0, 0, 0), (1, 0, 2), (1, 1, 1)):
            tifffile.imwrite(folder / "z.tif", movie[t, c, z])
            for path, choice in ((folder / "z.tif", []), (store, ["--plane", f"T={t},Z={z}", "--channel", str(c)])):
                out = folder / ("zt" if path.suffix == ".tif" else "zz")
                subprocess.run([BASIN, "export", folder / "z_masks.tif", "--image", path, *choice, "--save", "csv", "--out", out],
                               **run)
            same = (folder / "zt/z_objects.csv").read_text() == (folder / "zz/z_objects.csv").read_text()
            check("zarr: planes and channels of a store of ome-zarr", same, f"OME-Zarr {form.version}, t {t}, c {c}, z {z}")


def painted(numpy, draw, shape, rings):
    """The pixels whose centres lie inside an odd number of rings of (x, y)."""
    inside = numpy.zeros(shape, bool)
    for ring in rings:
        inside ^= draw.polygon2mask(shape, numpy.asarray(ring, float)[:, ::-1] - 0.5)
    return inside


def check_events(folder):
    """A short run that is resumed: TensorBoard reads the numbers of metrics.csv, each step once."""
    accumulator = module("tensorboard.backend.event_processing.event_accumulator")
    if accumulator is None:
        return
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([BASIN, "synth", "--count", "4", "--size", "64", "--out", folder / "data"], **quiet)
    train = [BASIN, "train", "--data", folder / "data", "--width", "8", "--crop", "32", "--save-every", "2", "--device",
             "cpu", "--tensorboard", "--out", folder / "run"]
    subprocess.run([*train, "--steps", "4"], **quiet)
    subprocess.run([*train, "--steps", "8", "--resume"], **quiet)
    events = accumulator.EventAccumulator(str(folder / "run"))
    events.Reload()
    rows = [line.split(",") for line in (folder / "run/metrics.csv").read_text().splitlines()]
    ours = {"rate": "rate", "loss/total": "loss", "loss/ivp": "ivp", "loss/mse": "mse", "loss/tversky": "tversky",
            "validation/AP50": "val_AP50", "validation/AP75": "val_AP75", "validation/AP90": "val_AP90",
            "validation/AP50_95": "val_AP50_95"}
    check("events: a scalar for each column", sorted(events.Tags()["scalars"]) == sorted(ours))
    for tag, column in ours.items():
        k = rows[0].index(column)
        want = [(int(r[0]), float(r[k])) for r in rows[1:] if r[k]]
        got = [(e.step, e.value) for e in events.Scalars(tag)]
        check(f"events: {tag}", len(want) > 0 and [s for s, _ in want] == [s for s, _ in got] and
              all(abs(a - b) <= 1e-6 * max(1, abs(a)) for (_, a), (_, b) in zip(want, got)), str(len(want)))
    check("events: times of this run", all(e.wall_time > 1.6e9 for e in events.Scalars("loss/total")))


def tensors_of(numpy, path):
    """The tensors of a .safetensors file, by name."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    return {name: numpy.frombuffer(content, "<f4", (t["data_offsets"][1] - t["data_offsets"][0]) // 4,
                                   begin + t["data_offsets"][0]).reshape(t["shape"]) for name, t in header.items()}


def check_torchvf(numpy, folder):
    """A state_dict of torchvf's names, written by PyTorch in several forms, converted and loaded."""
    torch = module("torch")
    if torch is None:
        return
    convert = [sys.executable, ROOT / "tools/python/torchvf_to_safetensors.py"]
    tensors = tensors_of(numpy, ROOT / "models/pretrained/nuclei-fluo.safetensors")
    weights = {name: torch.from_numpy(t.copy()) for name, t in tensors.items()}
    weights["backbone.Encoder_0.bn1.num_batches_tracked"] = torch.tensor(5)
    turned = {name: torch.nn.Parameter(t.transpose(0, -1).contiguous().transpose(0, -1)) if t.is_floating_point() else t
              for name, t in weights.items()}
    forms = {"plain": weights, "wrapped": {"epoch": 3, "model_state_dict": {"module." + n: t for n, t in turned.items()}}}
    for form, checkpoint in forms.items():
        torch.save(checkpoint, folder / f"{form}.pt")
        model = folder / f"{form}.safetensors"
        subprocess.run([*convert, folder / f"{form}.pt", model], check=True, stdout=subprocess.DEVNULL)
        got = tensors_of(numpy, model)
        check(f"torchvf: {form} checkpoint", sorted(got) == sorted(tensors) and all((got[n] == t).all() for n, t in tensors.items()))
        info = subprocess.run([BASIN, "info", model], check=True, capture_output=True, text=True).stdout
        check(f"torchvf: {form} checkpoint loads", "vf-h1" in info)
    for form, checkpoint in {"class": torch.nn.Linear(2, 2), "network": {"x": torch.zeros(3)}}.items():
        torch.save(checkpoint, folder / f"{form}.pt")
        run = subprocess.run([*convert, folder / f"{form}.pt", folder / "no.safetensors"], capture_output=True, text=True)
        check(f"torchvf: a checkpoint of another {form} is refused", run.returncode == 1 and run.stderr.count("\n") == 1 and
              not (folder / "no.safetensors").exists(), run.stderr.strip())


def main():
    numpy = module("numpy")
    tifffile = module("tifffile")
    if numpy is None or tifffile is None:
        sys.exit("numpy and tifffile are needed for every check")
    labels, image = sample(numpy)
    with tempfile.TemporaryDirectory(prefix="basin-interop-") as name:
        folder = pathlib.Path(name)
        tifffile.imwrite(folder / "x_masks.tif", labels)
        tifffile.imwrite(folder / "x.tif", image)
        subprocess.run([BASIN, "export", folder / "x_masks.tif", "--image", folder / "x.tif", "--save",
                        "csv,rois,geojson,npy", "--out", folder / "out"], check=True, stdout=subprocess.DEVNULL)
        out = folder / "out"
        measure = module("skimage.measure")
        draw = module("skimage.draw")
        if measure:
            check_csv(numpy, measure, out / "x_objects.csv", labels, image)
        roifile = module("roifile")
        if roifile and draw:
            rois = roifile.roiread(out / "x_rois.zip")
            check("rois: one for each object, named by its label",
                  [int(r.name) for r in rois] == list(range(1, labels.max() + 1)))
            same = True
            for r in rois:
                paths = r.multi_coordinates if r.multi_coordinates is not None else None
                rings = r.path2coords(paths) if paths is not None else [r.coordinates()]
                same &= bool((painted(numpy, draw, labels.shape, rings) == (labels == int(r.name))).all())
            check("rois: each covers the pixels of its object", same)
        shapely = module("shapely.geometry")
        features = json.loads((out / "x.geojson").read_text())["features"]
        if shapely:
            shapes = [shapely.shape(f["geometry"]) for f in features]
            check("geojson: every geometry is valid", all(s.is_valid for s in shapes))
            areas = numpy.bincount(labels.ravel())[1:]
            check("geojson: areas equal", [s.area for s in shapes] == list(areas))
            check("geojson: names and type", all(f["properties"]["name"] == str(k + 1) and
                  f["properties"]["objectType"] == "detection" for k, f in enumerate(features)))
        seg = numpy.load(out / "x_seg.npy", allow_pickle=True).item()
        check("npy: masks", seg["masks"].dtype == numpy.uint16 and (seg["masks"] == labels).all())
        check("npy: outlines and other keys", (seg["outlines"][seg["outlines"] > 0] == labels[seg["outlines"] > 0]).all()
              and seg["ismanual"].shape == (labels.max(),) and seg["filename"] == str(folder / "x.tif")
              and seg["flows"] == [[], [], [], [], [[]]])
        io = module("cellpose.io")
        if io:
            (out / "x.tif").write_bytes((folder / "x.tif").read_bytes())
            loaded = io.load_train_test_data(str(out), mask_filter="_seg.npy")
            check("npy: Cellpose loads it as training data", (numpy.squeeze(loaded[1][0]) == labels).all())
        check_zarr(numpy, tifffile, folder, labels, image)
        check_events(folder)
        check_torchvf(numpy, folder)
        pictures = module("skimage.io")
        if pictures:
            plane = pictures.imread(ROOT / "data/samples/nuclei_000_img.png")[:160, :200]
            check_stacks(numpy, tifffile, roifile, folder, plane)
            check_pyramid(numpy, tifffile, folder, plane)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    sys.exit(counts["FAILED"] > 0 or ("--strict" in sys.argv and counts["skipped"] > 0))


if __name__ == "__main__":
    main()
