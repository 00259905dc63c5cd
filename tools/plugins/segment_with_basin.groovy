// QuPath: segments the selected annotations, or the whole image without any, with Basin, and adds the objects as detections.
// Open this file in QuPath's script editor and run it.
import java.awt.geom.AffineTransform
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjectTools
import qupath.lib.regions.RegionRequest

def program = "basin"
def model = "nuclei-all"
def downsample = 1.0
def options = []  // for example ["--min-size", "30"]

def server = getCurrentServer()
def annotations = getSelectedObjects().findAll { it.isAnnotation() }
def parents = annotations ?: [getCurrentHierarchy().getRootObject()]
parents.each { parent ->
    def region = parent.hasROI() ? RegionRequest.createInstance(server.getPath(), downsample, parent.getROI())
                                 : RegionRequest.createInstance(server, downsample)
    def folder = java.nio.file.Files.createTempDirectory("basin-").toFile()
    def image = new File(folder, "image.tif")
    writeImageRegion(server, region, image.getPath())
    def command = [program, "segment", image.getPath(), "--model", model, "--save", "geojson", "--out",
                   new File(folder, "out").getPath()] + options
    def process = new ProcessBuilder(command).redirectErrorStream(true).start()
    def output = process.getInputStream().getText()
    if (process.waitFor() != 0)
        throw new IOException("Basin: " + output)
    def place = new AffineTransform()
    place.translate(region.getX(), region.getY())
    place.scale(downsample, downsample)
    def found = PathIO.readObjects(new File(folder, "out/image.geojson").toPath())
            .collect { PathObjectTools.transformObject(it, place, true) }
    if (parent.hasROI())  // the region is the annotation's box
        found = found.findAll { parent.getROI().contains(it.getROI().getCentroidX(), it.getROI().getCentroidY()) }
    parent.addChildObjects(found)
    println "${found.size()} objects"
    folder.deleteDir()
}
fireHierarchyUpdate()
