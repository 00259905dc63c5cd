"""Integration of points through a field: `basin integrate` against torchvf's solvers."""
import pathlib

import common

numpy, torch = common.modules("numpy", "torch")
common.use_torchvf()
from torchvf.numerics import interp_vf, ivp_solver  # noqa: E402

SOLVERS = {"euler": "euler", "midpoint": "midpoint", "rk4": "runge_kutta"}


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        for height, width, amplitude in ((90, 140, 1.5), (33, 17, 6.0)):
            torch.manual_seed(height)
            coarse = amplitude * torch.randn(1, 2, max(2, height // 6), max(2, width // 6))
            field = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
            # Inside, on the border, on grid points and outside the image.
            points = torch.rand(2, 5000) * torch.tensor([[width + 6.0], [height + 6.0]]) - 3
            points[:, :1000] = points[:, :1000].round()
            numpy.save(folder / "field.npy", field[0].numpy())
            numpy.save(folder / "points.npy", numpy.ascontiguousarray(points.T.numpy()))
            for solver, their_solver in SOLVERS.items():
                for interpolation in ("bilinear", "nearest"):
                    theirs = ivp_solver(interp_vf(field, mode=interpolation), points, dx=0.1, n_steps=25,
                                        solver=their_solver)[-1].T.numpy()
                    common.basin("integrate", folder / "field.npy", "--points", folder / "points.npy", "--solver",
                                 solver, "--step", 0.1, "--steps", 25, "--interpolation", interpolation, "--out",
                                 folder / "out.npy")
                    ours = numpy.load(folder / "out.npy")
                    title = f"{solver} {interpolation} {height}x{width}"
                    if interpolation == "bilinear" or ours.shape != theirs.shape:
                        report.close(title, ours, theirs, 1e-4 / max(height, width))
                    else:
                        # A point within a rounding error of half way between two pixels may take either.
                        apart = int((numpy.abs(ours - theirs).max(axis=1) > 1e-4).sum())
                        report.check(title, apart <= len(ours) // 500, f"{apart} of {len(ours)} points differ")
    report.finish()


if __name__ == "__main__":
    main()
