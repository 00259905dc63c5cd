"""Writes the image files beside it with other people's encoders (tifffile, OpenCV, Pillow); tests/data/test_image.cpp reads
them. Pixel (y, x) of channel c derives from b = 37 y + 11 x + 53 c; the name says how."""
import os

import cv2
import numpy as np
import tifffile
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
H, W = 19, 21


def base(channels):
    y, x, c = np.mgrid[0:H, 0:W, 0:channels]
    b = 37 * y + 11 * x + 53 * c
    return b[..., 0] if channels == 1 else b


VALUES = {
    "u8": lambda b: (b % 251).astype(np.uint8),
    "u16": lambda b: (b * 64).astype(np.uint16),
    "u32": lambda b: (b * 4000000).astype(np.uint32),
    "f32": lambda b: (b * 0.5 - 7).astype(np.float32),
    "i16": lambda b: b.astype(np.int16),
    "i32": lambda b: b.astype(np.int32),
    "f64": lambda b: b.astype(np.float64),
    "i64": lambda b: b.astype(np.int64),
}


def pixels(kind, channels=1):
    return VALUES[kind](base(channels))


def tiff(name, array, **options):
    tifffile.imwrite(name + ".tif", array, metadata=None, **options)


for kind in VALUES:
    tiff(f"{kind}_strips", pixels(kind), rowsperstrip=4)
for kind in ("u8", "u16", "u32", "f32"):
    tiff(f"{kind}_rgb_tiles_deflate", pixels(kind, 3), photometric="rgb", tile=(16, 16), compression="deflate")
    planes = np.moveaxis(pixels(kind, 3), 2, 0)
    tiff(f"{kind}_rgb_planes", planes, photometric="rgb", planarconfig="separate", rowsperstrip=8)
    tiff(f"{kind}_rgb_planes_tiles", planes, photometric="rgb", planarconfig="separate", tile=(16, 16), compression="lzw")
tiff("u8_lzw", pixels("u8"), compression="lzw", rowsperstrip=5)
tiff("u8_packbits", pixels("u8"), compression="packbits")
tiff("u16_lzw_predictor", pixels("u16"), compression="lzw", predictor=2)
tiff("f32_deflate_predictor", pixels("f32"), compression="deflate", predictor=3)
tiff("u16_big_endian", pixels("u16"), byteorder=">")
tiff("f32_big_endian_tiles", pixels("f32"), byteorder=">", tile=(16, 16))
tiff("u16_bigtiff", pixels("u16"), bigtiff=True)
tiff("u8_five", pixels("u8", 5), photometric="minisblack", planarconfig="contig", extrasamples=[0] * 4)
tiff("u8_rgb_alpha", pixels("u8", 4), photometric="rgb", extrasamples=["unassalpha"])
tiff("u16_rgb_alpha_planes", np.moveaxis(pixels("u16", 4), 2, 0), photometric="rgb", planarconfig="separate",
     extrasamples=["assocalpha"])
tiff("u8_grey_alpha_planes", np.moveaxis(pixels("u8", 2), 2, 0), photometric="minisblack", planarconfig="separate",
     extrasamples=["unassalpha"])
tiff("u8_white_is_zero", 255 - pixels("u8"), photometric="miniswhite")
colours = np.stack([np.arange(256) * 257, 65535 - np.arange(256) * 257, np.full(256, 771)]).astype(np.uint16)
tiff("u8_palette", pixels("u8"), photometric="palette", colormap=colours)
grey = np.stack([np.arange(256) * 257] * 3).astype(np.uint16)
tiff("u8_grey_palette", pixels("u8"), photometric="palette", colormap=grey)
smooth = np.stack([np.tile(np.arange(W) * 10, (H, 1)), np.tile(np.arange(H)[:, None] * 10, (1, W)),
                   np.full((H, W), 90)], 2).astype(np.uint8)
tiff("smooth_jpeg", smooth, photometric="rgb", compression="jpeg", compressionargs={"level": 95})
tiff("stack", np.stack([pixels("u8")] * 2), photometric="minisblack")
tiff("masks_stack", np.array([[[0, 9, 9], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 0]]], np.uint16),
     photometric="minisblack")
bad = pixels("f32")
bad[7, 3] = np.nan
tiff("nan", bad)
negative = pixels("i16")
negative[2, 5] = -1
tiff("negative", negative)
half = pixels("f32") * 2
tiff("fractions", half + 0.25)
tiff("half_float", pixels("f32").astype(np.float16))

cv2.imwrite("u8.png", pixels("u8"))
cv2.imwrite("u16.png", pixels("u16"))
cv2.imwrite("u8_rgb.png", pixels("u8", 3)[..., ::-1])
cv2.imwrite("u16_rgb.png", pixels("u16", 3)[..., ::-1])
cv2.imwrite("u16_rgb_alpha.png", pixels("u16", 4)[..., [2, 1, 0, 3]])
Image.fromarray(pixels("u8", 4), "RGBA").save("u8_rgb_alpha.png")
Image.fromarray(pixels("u8", 2), "LA").save("u8_grey_alpha.png")
indexed = Image.fromarray(pixels("u8"), "P")
indexed.putpalette([v for i in range(256) for v in (i, 255 - i, 3)])
indexed.save("u8_palette.png")
indexed.save("u8_palette_transparent.png", transparency=4)
Image.fromarray(pixels("u8") > 100).save("bits.png")
Image.fromarray(smooth).save("smooth.jpg", quality=95, subsampling=0)
Image.fromarray(smooth).save("smooth_progressive.jpg", quality=95, progressive=True, subsampling=0)
Image.fromarray(smooth[..., 0]).save("smooth_grey.jpg", quality=95)
Image.fromarray(pixels("u8")).save("u8.bmp")
Image.fromarray(pixels("u8", 3)).save("u8_rgb.bmp")
Image.fromarray(pixels("u8", 4), "RGBA").save("u8_rgb_alpha.bmp")

# Variants that microscopes and other programs write.
turned = Image.fromarray(smooth).transpose(Image.Transpose.ROTATE_90)  # upright if orientation 6 is applied
exif = Image.Exif()
exif[0x112] = 6
turned.save("turned.jpg", quality=95, subsampling=0, exif=exif)
turned.save("turned.png", exif=exif)
cmyk = np.dstack([255 - smooth, np.zeros((H, W), np.uint8)])
Image.fromarray(cmyk, "CMYK").save("cmyk_adobe.jpg", quality=95)
jpeg = open("cmyk_adobe.jpg", "rb").read()
at = jpeg.find(b"\xff\xee")
open("cmyk.jpg", "wb").write(jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big"):])
planes5 = np.stack([pixels("u16") + 1000 * k for k in range(5)]).astype(np.uint16)
tifffile.imwrite("imagej_stack.tif", planes5, imagej=True, truncate=True, metadata={"axes": "ZYX"})
tifffile.imwrite("imagej_channels.tif", planes5[:2].reshape(1, 1, 2, H, W), imagej=True,
                 metadata={"axes": "TZCYX", "unit": "um"}, resolution=(1 / 0.108, 1 / 0.108))
lut = np.stack([0 * np.arange(256), 0 * np.arange(256), np.arange(256) * 257]).astype(np.uint16)
tifffile.imwrite("imagej_lut.tif", pixels("u8"), photometric="palette", colormap=lut, description="ImageJ=1.54f\n",
                 metadata=None)
tifffile.imwrite("volume.tif", planes5, truncate=True, photometric="minisblack")
ome = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeX": 108, "PhysicalSizeXUnit": "nm"}
tifffile.imwrite("channels.ome.tif", planes5[:2], ome=True, metadata=ome, photometric="minisblack")
tifffile.imwrite("slices.ome.tif", planes5[:4].reshape(2, 2, H, W), ome=True, metadata={"axes": "ZCYX"},
                 photometric="minisblack")
with tifffile.TiffWriter("pyramid.tif") as writer:
    writer.write(pixels("u8")[::4, ::4], subfiletype=1, metadata=None)
    writer.write(pixels("u8"), metadata=None)
with tifffile.TiffWriter("pyramid_unmarked.tif") as writer:
    writer.write(pixels("u8")[:18, :20], metadata=None)
    writer.write(pixels("u8")[:18:2, :20:2], metadata=None)
Image.fromarray(pixels("u8") > 100).save("bits.tif")
Image.fromarray(pixels("u8") > 100).save("bits_fax.tif", compression="group4")
for compression in ("zstd", "lzma", "jpeg2000"):
    tiff("u8_" + compression, pixels("u8"), compression=compression)
tiff("f16_deflate_predictor", pixels("f32").astype(np.float16), compression="deflate", predictor=3)
tiff("labels_jpeg", np.where(pixels("u8") > 100, 255, 0).astype(np.uint8), compression="jpeg")
mask = Image.fromarray(np.where(pixels("u8") > 100, 255, 0).astype(np.uint8))
mask.quantize(2).save("mask_white_first.png")

# Of many tiles or strips, for reading in parts.
rows, columns = np.mgrid[0:70, 0:83]
large = 37 * rows + 11 * columns + rows * columns
for bits in (1, 4, 12):
    values = (large % (1 << bits)).astype(np.uint8 if bits <= 8 else np.uint16)
    tiff(f"parts_{bits}_bits_tiles", values, bitspersample=bits, tile=(16, 32))
    tiff(f"parts_{bits}_bits_strips", values, bitspersample=bits, rowsperstrip=7)
tiff("parts_white_is_zero", (large % 251).astype(np.uint8), photometric="miniswhite", tile=(16, 16), compression="deflate")
colours = np.stack([rows * 3, columns * 3, (rows + columns)], 2).astype(np.uint8)
tiff("parts_jpeg", colours, photometric="rgb", tile=(16, 32), compression="jpeg", compressionargs={"level": 90})
channels = np.stack([large % 251, large % 241, large % 239]).astype(np.uint8)
tiff("parts_planes_tiles", channels, photometric="rgb", planarconfig="separate", tile=(32, 16), compression="deflate")
tiff("parts_planes_strips", channels, photometric="rgb", planarconfig="separate", rowsperstrip=9)
tifffile.imwrite("parts_channels.ome.tif", channels, ome=True, metadata={"axes": "CYX"}, photometric="minisblack",
                 tile=(32, 32), compression="deflate")
