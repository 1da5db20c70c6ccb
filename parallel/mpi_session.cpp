#include "parallel/mpi_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>

#include "parallel/agreement.h"

#include "parallel/mpi_communicator.h"

namespace swallowtail {

namespace {

// Not destroyed at exit: a watchdog or fail() may still need it while static objects go.
MpiState* state = nullptr;

void print_line(const std::string& line) noexcept {
  std::fflush(stdout);
  std::fflush(stderr);
  const auto text = line + "\n";  // one write: lines of several ranks do not mix
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
}

/// Ranks that mpirun or Slurm put on this machine, 1 where nobody says.
long launched_on_this_machine() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_TASKS_PER_NODE"})
    if (const char* value = std::getenv(name)) return std::strtol(value, nullptr, 10);
  return 1;
}

/// Open MPI reads these in MPI_Init. What the user has set stays.
void prepare_environment() {
  // Waiting ranks spin. With as many ranks as cores or more they would keep the rank that they wait for, or its data
  // and OpenMP threads, from running. On 2 ranks and 2 cores yielding makes a lone small all_reduce slower (1.6 -> 12
  // µs, communicator_check time) and training faster (configs/quickstart.yaml, two epochs with start: 4.6 -> 3.7 s).
  if (launched_on_this_machine() >= sysconf(_SC_NPROCESSORS_ONLN)) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  // Containers may forbid process_vm_readv, which Open MPI takes for granted and then fails in the middle of a message.
  char from = 1, to = 0;
  const iovec local{&to, 1}, remote{&from, 1};
  if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

/// Maps `bytes` of the shared memory object `name`; empty on failure.
std::shared_ptr<void> map_shared(const char* name, std::size_t bytes, bool create) {
  const int file = shm_open(name, create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
  if (file < 0) return nullptr;
  void* memory = MAP_FAILED;
  // Allocated at once: with a full /dev/shm a mere ftruncate succeeds and the first write is a SIGBUS.
  const int reserved = create ? posix_fallocate(file, 0, static_cast<off_t>(bytes)) : 0;
  if (reserved == 0) memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = reserved != 0 ? reserved : errno;
  close(file);
  if (memory == MAP_FAILED) {
    if (create) shm_unlink(name);
    errno = error;
    return nullptr;
  }
  return {memory, [bytes](void* mapped) { munmap(mapped, bytes); }};
}

/// The board of this machine's ranks: made by the first of them, unlinked as soon as all have mapped it, so that no
/// way of dying leaves it behind. Without shared memory each rank gets a board of its own and knows only itself.
void make_board(MpiState& mpi) {
  const auto bytes = ActivityBoard::bytes(mpi.node_ranks);
  std::array<char, 64> name{};
  int is_mapped = 1;
  int error = 0;
  if (mpi.node_rank == 0) {
    fmt::format_to_n(name.data(), name.size() - 1, "/swallowtail-{}-{:x}", getpid(), monotonic_ns());
    mpi.board_memory = map_shared(name.data(), bytes, true);
    error = errno;
    if (mpi.board_memory) mpi.board.emplace(mpi.board_memory.get(), mpi.node_ranks, true);
  }
  check_mpi(MPI_Bcast(name.data(), static_cast<int>(name.size()), MPI_CHAR, 0, mpi.node), "MPI_Bcast", "start");
  if (mpi.node_rank != 0) {
    mpi.board_memory = map_shared(name.data(), bytes, false);
    error = errno;
    if (mpi.board_memory) mpi.board.emplace(mpi.board_memory.get(), mpi.node_ranks, false);
  }
  is_mapped = mpi.board_memory != nullptr;
  int all_mapped = 0;
  check_mpi(MPI_Allreduce(&is_mapped, &all_mapped, 1, MPI_INT, MPI_MIN, mpi.node), "MPI_Allreduce", "start");
  if (mpi.node_rank == 0 && is_mapped) shm_unlink(name.data());
  if (!all_mapped) {
    if (!is_mapped)
      print_line(
          fmt::format("swallowtail: warning: rank {} has no shared memory in /dev/shm ({}): a rank that hangs is "
                      "noticed but its last word is unknown",
                      mpi.rank, std::strerror(error)));
    mpi.board_memory = {std::aligned_alloc(alignof(ActivitySlot), bytes), std::free};
    mpi.board.emplace(mpi.board_memory.get(), mpi.node_ranks, true);
  }
  auto& slot = mpi.board->slots()[static_cast<std::size_t>(mpi.node_rank)];
  slot.set_owner(mpi.rank, getpid());
  mpi.reporter = std::make_unique<Reporter>(slot);
  mpi.reporter->phase("", 0);
  check_mpi(MPI_Barrier(mpi.node), "MPI_Barrier", "start");
  // Ranks in separate pid namespaces cannot see each other's processes: their death is not to be judged by pid.
  for (auto& other : mpi.board->slots())
    if (other.pid() > 0 && kill(other.pid(), 0) != 0 && errno == ESRCH) other.set_owner(other.rank(), 0);
  check_mpi(MPI_Barrier(mpi.node), "MPI_Barrier", "start");
}

}  // namespace

MpiState* mpi_state() noexcept { return state; }

void check_mpi(int result, std::string_view function, std::string_view where) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw Error{ExitCode::rank, fmt::format("{} failed: {}", function, std::string_view(text.data())),
              fmt::format("rank {} in {}", MpiSession::rank(), where), "see the other ranks' lines"};
}

MpiSession::MpiSession() {
  prepare_environment();
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS)
    throw Error{ExitCode::rank, "MPI does not start", "MPI_Init_thread", "run swallowtail doctor"};
  auto mpi = std::make_unique<MpiState>();
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);  // our own words instead of an abort
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &mpi->world), "MPI_Comm_dup", "start");
  MPI_Comm_rank(mpi->world, &mpi->rank);
  MPI_Comm_size(mpi->world, &mpi->world_size);
  check_mpi(MPI_Comm_split_type(mpi->world, MPI_COMM_TYPE_SHARED, mpi->rank, MPI_INFO_NULL, &mpi->node),
            "MPI_Comm_split_type", "start");
  MPI_Comm_rank(mpi->node, &mpi->node_rank);
  MPI_Comm_size(mpi->node, &mpi->node_ranks);
  int first_of_node = mpi->rank;
  check_mpi(MPI_Bcast(&first_of_node, 1, MPI_INT, 0, mpi->node), "MPI_Bcast", "start");
  std::vector<int> nodes(static_cast<std::size_t>(mpi->world_size));
  check_mpi(MPI_Allgather(&first_of_node, 1, MPI_INT, nodes.data(), 1, MPI_INT, mpi->world), "MPI_Allgather", "start");
  mpi->node_of = numbered_in_order(nodes);
  make_board(*mpi);
  state = mpi.release();
  if (provided < MPI_THREAD_MULTIPLE)
    fail({ExitCode::rank,
          fmt::format("this MPI gives thread level {} where MPI_THREAD_MULTIPLE ({}) is needed", provided,
                      static_cast<int>(MPI_THREAD_MULTIPLE)),
          "MPI_Init_thread", "use an Open MPI that is built with threads, such as Debian's libopenmpi-dev"});
}

MpiSession::~MpiSession() {
  // Under an exception the others still wait in a collective and MPI_Finalize would wait for them: MPI stays up, and
  // whoever catches it ends all ranks by fail().
  if (std::uncaught_exceptions() > 0) return;
  state->reporter->finish();
  // Where a rank aborts while another is in MPI_Finalize, mpirun of Open MPI 4.1 waits for ever with all ranks dead. So
  // nobody goes there before everybody is past all that may fail.
  MPI_Barrier(state->world);
  MPI_Comm_free(&state->node);
  MPI_Comm_free(&state->world);
  delete state;
  state = nullptr;
  MPI_Finalize();
}

int MpiSession::rank() noexcept { return state ? state->rank : 0; }
int MpiSession::world_size() noexcept { return state ? state->world_size : 1; }

void MpiSession::abort(int code) {
  std::fflush(stdout);
  std::fflush(stderr);
  if (!state) std::exit(code);
  state->board->claim_report();  // the watchdogs of the others need not tell that this rank is gone
  // MPI_Abort may wait for a thread that is stuck inside MPI; a rank that is asked to end, ends.
  std::thread([code] {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    _exit(code);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

bool MpiSession::claim_failure(bool all_may_fail) {
  if (!state) return true;
  const bool is_first = state->board->claim_report();
  const bool has_rank_0 =
      std::ranges::any_of(state->board->slots(), [](const ActivitySlot& slot) { return slot.rank() == 0; });
  // Another rank has the word, and its code is the job's.
  if (!is_first) std::this_thread::sleep_for(std::chrono::seconds(2));
  if (is_first && all_may_fail && !has_rank_0) std::this_thread::sleep_for(std::chrono::seconds(1));
  return is_first;
}

std::string MpiSession::whereabouts() {
  if (!state || state->world_size == 1) return {};
  const auto report = state->board->slots()[static_cast<std::size_t>(state->node_rank)].read();
  if (!report || report->step == 0) return {};
  return fmt::format("rank {} in {}", state->rank, call_name(report->what.data(), report->step));
}

void MpiSession::fail(const Error& error) {
  if (claim_failure(false)) print_line(error.message());
  abort(static_cast<int>(error.code()));
}

}  // namespace swallowtail
