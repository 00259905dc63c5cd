#pragma once

namespace basin::tools {

/// Joins the other ranks if mpirun or a job scheduler started this process with them, and calls set_ranks_of_run().
/// Only rank 0 then writes to stdout and stderr, and the others from Ranks::write_messages() on.
void join_by_mpi(int argc, char** argv);
/// Ends the run of all ranks after an error of this one, and names it: "rank 2 on node7: SENTENCE". Rank 0, which most
/// often has the same error, is left a second to report it first. Does not return if there are other ranks. After
/// set_ranks_of_run(nullptr), when their common work is done, it waits for the others instead.
void end_all_ranks(const char* sentence);
/// Waits for the others before the process ends.
void leave_mpi();

}  // namespace basin::tools
