"""The napari plugin: a widget that segments the active layer, and a reader of the label images that `basin segment` writes."""
import pathlib

import numpy

import basin


def segment_layer(viewer, model, **options):
    """Segments the active image layer of a viewer, every plane of a stack, and adds a layer of labels.

    Planes lie along the last two axes, colours along another one behind them. The objects of all planes have different numbers.
    The layer's features are the measurements of the objects. `model`: a name, a file, or a basin.Model.
    """
    layer = viewer.layers.selection.active
    if layer is None or not hasattr(layer, "rgb"):
        raise ValueError("Basin: select a layer with an image")
    if not isinstance(model, basin.Model):
        model = basin.load_model(model)
    pixels = numpy.asarray(layer.data[0] if layer.multiscale else layer.data)  # the full resolution
    shape = pixels.shape[:-1] if layer.rgb else pixels.shape
    planes = pixels.reshape(-1, *pixels.shape[-3 if layer.rgb else -2:])
    labels, columns = numpy.zeros((len(planes), *shape[-2:]), numpy.int32), {}
    axis = -1 if layer.rgb else None
    for k, plane in enumerate(planes):
        found = model.segment(plane, channel_axis=axis, **options)
        table = basin.measure(found, plane, channel_axis=axis)
        before = labels.max(initial=0)
        labels[k] = numpy.where(found > 0, found + before, 0)
        table["index"] = table.pop("label").astype(int) + before
        for name, column in table.items():
            columns.setdefault(name, []).append(column)
    features = {name: numpy.concatenate(parts) for name, parts in columns.items()}
    return viewer.add_labels(labels.reshape(shape), name=f"{layer.name} objects", features=features, scale=layer.scale[-len(shape):],
                             translate=layer.translate[-len(shape):])


def segment_widget():
    """The widget, in which 0 leaves an option to the model. napari itself gives it its viewer, by the type of that argument."""
    import magicgui

    @magicgui.magicgui(call_button="Segment", model={"choices": basin.shipped_models() + ["a file"]}, file={"filter": "*.safetensors"},
                       diameter={"label": "diameter, px", "max": 10000.0}, min_size={"label": "smallest object, px", "max": 10**9})
    def segment(viewer: "napari.viewer.Viewer", model: str = "nuclei-fluo", file: pathlib.Path = pathlib.Path(), diameter: float = 0.0, min_size: int = 0,
                exclude_edges: bool = False):
        segment_layer(viewer, str(file) if model == "a file" else model, diameter=diameter or None,
                      min_size=min_size or None, exclude_edges=exclude_edges)

    return segment


def reader_of(path):
    """The function that reads a label image."""
    return None if isinstance(path, list) else read_labels


def read_labels(path):
    import imageio.v3  # napari depends on it

    labels = imageio.v3.imread(path)
    return [(labels.astype(numpy.int32), {"name": pathlib.Path(path).stem}, "labels")]
