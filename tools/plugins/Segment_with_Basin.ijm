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

command = newArray(program, "segment", folder + "image.tif", "--model", model, "--min-size", d2s(smallest, 0),
                   "--save", "labels,rois", "--out", folder + "out");
if (diameter > 0)
  command = Array.concat(command, newArray("--diameter", d2s(diameter, 2)));
output = exec(command);

rois = folder + "out" + File.separator + "image_rois.zip";
if (!File.exists(rois))
  exit("Basin did not segment the image.\n" + output);
roiManager("reset");
roiManager("open", rois);
selectImage(title);
roiManager("show all without labels");
labels = folder + "out" + File.separator + "image_masks.tif";
if (!File.exists(labels))
  labels = folder + "out" + File.separator + "image_masks.png";
open(labels);
rename(title + " objects");
