// Fiji: segments the active image or stack with Basin, and opens the label image and the objects in the ROI Manager.
// Open this file in Fiji (File > Open) and press Run, or put it into Fiji's folder `plugins/Macros`.
#@ String (label="Program", value="basin") program
#@ String (label="Model", value="nuclei-fluo") model
#@ Double (label="Diameter of objects, px (0: the model's)", value=0) diameter
#@ Integer (label="Smallest object, px", value=0) smallest

folder = getDirectory("temp") + "basin-" + getTime() + File.separator;
File.makeDirectory(folder);
title = getTitle();
run("Duplicate...", "title=[basin input] duplicate");
saveAs("Tiff", folder + "image.tif");
close();

image = folder + "image.tif";
out = folder + "out";
size = d2s(smallest, 0);
if (diameter > 0)
  output = exec(program, "segment", image, "--model", model, "--min-size", size, "--save", "labels,rois", "--out", out,
                "--diameter", d2s(diameter, 2));
else
  output = exec(program, "segment", image, "--model", model, "--min-size", size, "--save", "labels,rois", "--out", out);

rois = out + File.separator + "image_rois.zip";
if (!File.exists(rois))
  exit("Basin did not segment the image. To see why, run this in a terminal:\n\"" + program + "\" segment \"" + image +
       "\" --model \"" + model + "\" --out \"" + out + "\"\n" + output);
roiManager("reset");
roiManager("open", rois);
selectImage(title);
roiManager("show all without labels");
labels = out + File.separator + "image_masks.tif";
if (!File.exists(labels))
  labels = out + File.separator + "image_masks.png";
open(labels);
rename(title + " objects");
