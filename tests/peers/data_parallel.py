"""Training steps of H1 on two processes of one thread each, one 256x256 crop for each: Basin on MPI against PyTorch's
DistributedDataParallel on gloo, each also against one process with one crop (weak scaling).

PyTorch runs the network and losses of torch_peer.py in both layouts, eagerly. Every round runs each contender in turn;
printed are the minimum and the median over all rounds.

    BASIN=MPI/BUILD/basin python data_parallel.py [--rounds 5] [--reps 8]
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

import common

BATCH, SIDE = 1, 256
MPIRUN = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none"]


def torch_worker(rank, ranks, layout, reps, port, answers):
    import torch
    import torch_peer
    torch.set_num_threads(1)
    torch.manual_seed(0)
    memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    network = torch_peer.H1().to(memory_format=memory)
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
        network = torch.nn.parallel.DistributedDataParallel(network)
    image = torch.rand(BATCH, 1, SIDE, SIDE).to(memory_format=memory)
    mask = (torch.rand(BATCH, 1, SIDE, SIDE) > 0.7).float()
    field = torch.rand(BATCH, 2, SIDE, SIDE) * 4 - 2
    adam = torch.optim.Adam(network.parameters(), 2e-4, fused=True)
    network.train()

    def step():
        adam.zero_grad(set_to_none=True)
        logit, predicted = network(image)
        torch_peer.losses(logit, predicted, field, mask, torch_peer.by_grid_sample).backward()
        adam.step()

    for _ in range(3):
        step()
    times = []
    for _ in range(reps):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    if rank == 0:
        answers.put(times)
    if ranks > 1:
        torch.distributed.destroy_process_group()


def torch_times(ranks, layout, reps, port):
    import torch.multiprocessing as processes
    context = processes.get_context("spawn")
    answers = context.SimpleQueue()
    workers = [context.Process(target=torch_worker, args=(r, ranks, layout, reps, port, answers)) for r in range(ranks)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers.get()


def basin_times(binary, ranks, reps):
    with common.scratch() as folder:
        out = pathlib.Path(folder) / "bench.json"
        command = [str(binary), "bench", "method-train", "--model", "vf-h1", "--batch", str(BATCH), "--side", str(SIDE),
                   "--device", "cpu", "--threads", "1", "--reps", str(reps), "--json", str(out)]
        subprocess.run((MPIRUN if ranks > 1 else []) + command, check=True, capture_output=True)
        row = next(row for row in common.load_json(out) if row["name"] == "method-train")
        return [row["median_ms"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reps", type=int, default=8)
    options = parser.parse_args()
    common.modules("torch")
    binary = common.basin_path()
    contenders = {(name, ranks): work for ranks in (1, 2) for name, work in (
        ("basin", lambda ranks, port: basin_times(binary, ranks, options.reps)),
        ("torch nchw", lambda ranks, port: torch_times(ranks, "nchw", options.reps, port)),
        ("torch nhwc", lambda ranks, port: torch_times(ranks, "nhwc", options.reps, port)))}
    medians = {key: [] for key in contenders}
    for round_ in range(options.rounds):
        for k, (key, work) in enumerate(contenders.items()):
            medians[key].append(statistics.median(work(key[1], 29500 + 10 * round_ + k)))
            print(*key, f"{medians[key][-1]:.1f} ms", file=sys.stderr)
    print("processes of one thread, step in ms: minimum and median over rounds of the medians of a round")
    for key, ms in medians.items():
        print(f"{key[0]:<12} {key[1]}  {min(ms):8.1f} {statistics.median(ms):8.1f}")
    for name in sorted({name for name, _ in contenders}):
        scaling = [one / two for one, two in zip(medians[name, 1], medians[name, 2])]
        print(f"{name}: weak scaling {statistics.median(scaling):.3f}, between {min(scaling):.3f} and {max(scaling):.3f}")
    for name in ("torch nchw", "torch nhwc"):
        ratios = [theirs / ours for theirs, ours in zip(medians[name, 2], medians["basin", 2])]
        print(f"{name} / basin on two: {statistics.median(ratios):.2f}, between {min(ratios):.2f} and {max(ratios):.2f}")


if __name__ == "__main__":
    main()
