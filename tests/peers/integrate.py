"""Integration of points through a field: `basin integrate` against torchvf's solvers, its dopri5 against scipy's RK45 (the
same pair of methods with a different step size control), and --rescale against the definition written with numpy."""
import pathlib

import common

numpy = common.modules("numpy")
solve_ivp = common.modules("scipy.integrate").solve_ivp

SOLVERS = {"euler": "euler", "midpoint": "midpoint", "rk4": "runge_kutta"}


def smooth_field(height, width, amplitude, seed):
    zoom = common.modules("scipy.ndimage").zoom
    coarse = amplitude * numpy.random.default_rng(seed).standard_normal((2, height // 6, width // 6))
    return numpy.stack([zoom(c, (height / len(c), width / len(c[0])), order=3) for c in coarse])


def bilinear(field, x, y):
    """Interpolation by its definition, with positions clamped to the image."""
    x, y = x.clip(0, field.shape[2] - 1), y.clip(0, field.shape[1] - 1)
    x0, y0, x1, y1 = (f(v).astype(int) for f in (numpy.floor, numpy.ceil) for v in (x, y))
    a, b = x - x0, y - y0
    return (1 - b) * ((1 - a) * field[:, y0, x0] + a * field[:, y0, x1]) + \
        b * ((1 - a) * field[:, y1, x0] + a * field[:, y1, x1])


def compare_adaptive(report, folder):
    field = smooth_field(60, 90, 1.0, 0)
    points = numpy.random.default_rng(1).uniform(-2, 92, (150, 2)) * (1, 60 / 90)
    theirs = solve_ivp(lambda t, p: bilinear(field, *p.reshape(2, -1)).ravel(), (0, 2.5), points.T.ravel(),
                       method="RK45", rtol=1e-10, atol=1e-10, max_step=0.01).y[:, -1].reshape(2, -1).T
    numpy.save(folder / "field.npy", field)
    numpy.save(folder / "points.npy", points)
    # At kinks of the interpolated field the error estimate is too low, and errors grow along the path.
    for tolerance, allowed in ((1e-7, 1e-4), (1e-2, 5e-2)):
        common.basin("integrate", folder / "field.npy", "--points", folder / "points.npy", "--solver", "dopri5",
                     "--step", 0.1, "--steps", 25, "--tolerance", tolerance, "--out", folder / "out.npy")
        worst = float(numpy.abs(numpy.load(folder / "out.npy") - theirs).max())
        report.check(f"dopri5 at tolerance {tolerance}, scipy's RK45", worst <= allowed,
                     f"largest difference {worst:.1e} px of {allowed:.0e}")


def compare_rescaled(report, folder):
    field = smooth_field(70, 50, 2.0, 2).astype(numpy.float32)
    mask = smooth_field(70, 50, 1.0, 3)[0] > 0
    numpy.save(folder / "field.npy", field)
    numpy.save(folder / "mask.npy", mask)
    unit = numpy.where(mask, field / numpy.hypot(*field), 0)
    divergence = numpy.gradient(unit[0], axis=1) + numpy.gradient(unit[1], axis=0)
    points = numpy.argwhere(mask)[:, ::-1]
    for low, high in ((0.01, 99.99), (5, 80)):
        scaled = unit * numpy.interp(divergence, numpy.percentile(divergence, (low, high)), (0, 1))
        # One step of length 1 through the nearest pixel: the field itself.
        common.basin("integrate", folder / "field.npy", "--mask", folder / "mask.npy", f"--rescale={low},{high}",
                     "--interpolation", "nearest", "--step", 1, "--steps", 1, "--out", folder / "out.npy")
        report.close(f"rescaled by divergence, percentiles {low} and {high}", numpy.load(folder / "out.npy") - points,
                     scaled[:, mask].T, 2e-5)


def main():
    common.basin_path()
    report = common.Report()
    with common.scratch() as name:
        folder = pathlib.Path(name)
        compare_adaptive(report, folder)
        compare_rescaled(report, folder)
        if report.failed:
            report.finish()
        torch = common.modules("torch")
        common.use_torchvf()
        from torchvf.numerics import interp_vf, ivp_solver
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
                        # A point half-way between two pixels, up to rounding, may use either.
                        apart = int((numpy.abs(ours - theirs).max(axis=1) > 1e-4).sum())
                        report.check(title, apart <= len(ours) // 500, f"{apart} of {len(ours)} points differ")
    report.finish()


if __name__ == "__main__":
    main()
