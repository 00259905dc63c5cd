"""Packs the Python package, the library, the libraries that it needs and the shipped models into a wheel.

    python3 make_wheel.py --library libbasin.so.1 --version 0.1.0 --out FOLDER

Needs Python's standard library alone. The library must look for others in the folder `libraries` beside it ($ORIGIN/libraries).
C and C++ libraries are not packed: the wheel is for systems whose C library is as new as this one's, as its tag says.
"""
import argparse
import base64
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+))\.so.*|linux-vdso\.so.*")


def libraries_of(library):
    """The paths of the libraries that a library needs, directly or not, by the names that it looks for."""
    found = {}
    for line in subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if "=>" not in words or SYSTEM.fullmatch(words[0]):
            continue
        if words[2] == "not":
            sys.exit(f"make_wheel: {library} needs {words[0]}, which is not found")
        found[words[0]] = pathlib.Path(words[2]).resolve()
    return found


def licences_of(paths):
    """The licences of the distribution's packages that these files come from, by the packages' names."""
    licences = {}
    if not shutil.which("dpkg-query"):
        return licences
    for path in paths:
        # Where /lib is a link to /usr/lib, a package may list a file below either.
        for name in (str(path), str(path).removeprefix("/usr")):
            owner = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True)
            if owner.returncode == 0:
                package = owner.stdout.split(":")[0]
                licence = pathlib.Path("/usr/share/doc") / package / "copyright"
                if licence.exists():
                    licences[package] = licence
                break
    return licences


class Wheel:
    """A zip file with a list of its files, their sizes and hashes."""

    def __init__(self, path, info):
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.info, self.record = info, []

    def add(self, name, content, mode=0o644):
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same content gives the same wheel
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (0o100000 | mode) << 16
        self.zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        self.record.append(f"{name},sha256={digest},{len(content)}")

    def close(self):
        self.record.append(f"{self.info}/RECORD,,")
        self.zip.writestr(zipfile.ZipInfo(f"{self.info}/RECORD", (1980, 1, 1, 0, 0, 0)), "\n".join(self.record) + "\n")
        self.zip.close()


def metadata(version):
    return f"""Metadata-Version: 2.1
Name: basin
Version: {version}
Summary: Instance segmentation of microscopy images
License: Apache-2.0
Requires-Python: >=3.8
Requires-Dist: numpy
Classifier: Operating System :: POSIX :: Linux
Classifier: Topic :: Scientific/Engineering :: Image Processing
Description-Content-Type: text/markdown

{(ROOT / "docs/python.md").read_text()}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=pathlib.Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    libc = os.confstr("CS_GNU_LIBC_VERSION").split()  # "glibc 2.36"
    tag = f"py3-none-manylinux_{libc[1].replace('.', '_')}_{platform.machine()}"
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("basin-*.whl"):
        old.unlink()
    path = options.out / f"basin-{options.version}-{tag}.whl"
    part = path.with_suffix(".part")
    info = f"basin-{options.version}.dist-info"
    wheel = Wheel(part, info)
    package = ROOT / "tools/python/basin"
    for file in sorted([*package.glob("*.py"), *package.glob("*.yaml")]):
        wheel.add(f"basin/{file.name}", file.read_bytes())
    wheel.add(f"basin/{options.library.name}", options.library.read_bytes(), 0o755)
    bundled = libraries_of(options.library)
    for name, file in sorted(bundled.items()):
        wheel.add(f"basin/libraries/{name}", file.read_bytes(), 0o755)
    for file in sorted((ROOT / "models/pretrained").iterdir()):
        wheel.add(f"basin/models/{file.name}", file.read_bytes())
    wheel.add(f"{info}/licenses/LICENSE", (ROOT / "LICENSE").read_bytes())
    for name, file in sorted(licences_of(bundled.values()).items()):
        wheel.add(f"{info}/licenses/{name}.copyright", file.read_bytes())
    wheel.add(f"{info}/METADATA", metadata(options.version).encode())
    wheel.add(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: make_wheel.py\nRoot-Is-Purelib: false\nTag: {tag}\n".encode())
    points = "[console_scripts]\nbasin = basin.__main__:main\n\n[napari.manifest]\nbasin = basin:napari.yaml\n"
    wheel.add(f"{info}/entry_points.txt", points.encode())
    wheel.close()
    part.replace(path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, with {', '.join(sorted(bundled))}")


if __name__ == "__main__":
    main()
