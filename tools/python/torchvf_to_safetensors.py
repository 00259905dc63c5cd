"""Converts a checkpoint of torchvf's networks, as torch.save() writes it, to a .safetensors file that Basin loads.

    python3 torchvf_to_safetensors.py CHECKPOINT.pt MODEL.safetensors

Needs neither PyTorch nor NumPy, and runs no code from the checkpoint: it accepts dictionaries of numbers, texts and tensors,
and nothing else. The weights may be the checkpoint itself, or one of its members, such as "model_state_dict".
"""
import argparse
import collections
import io
import json
import math
import os
import pathlib
import pickle
import struct
import sys
import zipfile

MARK = "backbone.Encoder_0.conv1.weight"  # a tensor that all of torchvf's networks have


class Storage:
    """The numbers of one or more tensors: a file in the archive."""

    def __init__(self, archive, name, format, count):
        self.archive, self.name, self.format, self.count = archive, name, format, count

    def numbers(self):
        size = struct.calcsize(self.format)
        content = self.archive.read(self.name)
        if len(content) < self.count * size:
            raise ValueError(f"{self.name} is shorter than it should be")
        return memoryview(content)[:self.count * size].cast(self.format)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, tuple(shape), tuple(strides)

    def values(self):
        """Its elements in row-major order."""
        numbers = self.storage.numbers()
        if any(size < 1 for size in self.shape):
            raise ValueError(f"a tensor of shape {list(self.shape)} has no elements")
        if math.prod(self.shape) > len(numbers):
            raise ValueError("a tensor has more elements than are stored")
        places = [self.offset]
        for size, stride in zip(self.shape, self.strides):
            places = [place + k * stride for place in places for k in range(size)]
        return [numbers[place] for place in places]


class Unpickler(pickle.Unpickler):
    """Reads what torch.save() writes of a state_dict; refuses everything else."""

    def __init__(self, archive, folder):
        super().__init__(io.BytesIO(archive.read(folder + "/data.pkl")))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        formats = {"FloatStorage": "f", "DoubleStorage": "d", "LongStorage": "q", "IntStorage": "i"}
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in formats:
            return formats[name]
        if module == "torch" and name.endswith("Storage"):
            raise pickle.UnpicklingError(f"its tensors are of the type {name}; convert them to float32 first")
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise pickle.UnpicklingError(f"it contains a {module}.{name}; save the model's state_dict() alone")

    def persistent_load(self, identity):
        kind, format, key, _, count = identity
        if kind != "storage" or not isinstance(format, str):
            raise pickle.UnpicklingError("its tensors are of an unsupported type")
        return Storage(self.archive, f"{self.folder}/data/{key}", format, count)


def read_checkpoint(path):
    try:
        archive = zipfile.ZipFile(path)
        folder = next(name for name in archive.namelist() if name.endswith("/data.pkl"))[:-len("/data.pkl")]
    except (zipfile.BadZipFile, StopIteration):
        raise ValueError("is not a file of torch.save(), version 1.6 or later") from None
    order = [name for name in archive.namelist() if name == folder + "/byteorder"]
    if order and archive.read(order[0]).decode() != sys.byteorder:
        raise ValueError("was written on a machine with the other byte order")
    return Unpickler(archive, folder).load()


def state_dict_in(checkpoint):
    """The tensors of the network by their names: of the checkpoint, or of one of its members."""
    candidates = [checkpoint] + list(checkpoint.values() if isinstance(checkpoint, dict) else [])
    for candidate in candidates:
        if not isinstance(candidate, dict):
            continue
        tensors = {name: value for name, value in candidate.items() if isinstance(value, Tensor)}
        for prefix in ("", "module.", "model."):  # of the wrappers of several GPUs, and of trainers
            if prefix + MARK in tensors:
                return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}
    raise ValueError(f"contains no network of torchvf: no tensor is named {MARK}")


def write_safetensors(path, tensors):
    header, parts, end = {}, [], 0
    for name in sorted(tensors):
        if name.endswith("num_batches_tracked"):
            continue
        values = tensors[name].values()
        parts.append(struct.pack(f"<{len(values)}f", *values))
        header[name] = {"dtype": "F32", "shape": tensors[name].shape, "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(path.name + ".part")
    part.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(part, path)
    return len(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    options = parser.parse_args()
    if options.model.exists() and options.checkpoint.exists() and options.model.samefile(options.checkpoint):
        sys.exit(f"torchvf_to_safetensors: {options.model}: would overwrite the checkpoint; choose another name")
    try:
        count = write_safetensors(options.model, state_dict_in(read_checkpoint(options.checkpoint)))
    except Exception as error:  # whatever a damaged file leads to
        sys.exit(f"torchvf_to_safetensors: {options.checkpoint}: {error}")
    print(f"{options.model}: {count} tensors")


if __name__ == "__main__":
    main()
