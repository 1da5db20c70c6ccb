// kernels/cuda/device.h over the emulator's memory. Work is done when it is asked for, in the order of the calls; while
// a graph is recorded it is kept for the replays.
#include "kernels/cuda/device.h"

#include <chrono>
#include <string>
#include <vector>

#include "tests/emulator/emulated_cuda.h"

namespace swallowtail {

namespace {

using Work = std::vector<std::function<void()>>;
struct StreamState {
  Work* recording = nullptr;
};
struct EventState {
  std::chrono::steady_clock::time_point at;
};

StreamState& state_of(cuda::Stream& stream) { return *static_cast<StreamState*>(stream.handle()); }
std::byte* bytes_of(void* device) { return static_cast<std::byte*>(device); }
const std::byte* bytes_of(const void* device) { return static_cast<const std::byte*>(device); }

}  // namespace

void emulator::enqueue(cuda::Stream& stream, std::function<void()> work) {
  if (Work* const recording = state_of(stream).recording) {
    recording->push_back(std::move(work));
  } else {
    work();
  }
}

namespace cuda {

Stream::Stream() : handle_(new StreamState) {}
Stream::~Stream() { delete static_cast<StreamState*>(handle_); }
void Stream::wait() {
  emulator::throw_host_fault();
  if (state_of(*this).recording) throw Failure("a stream that is being recorded cannot be waited for");
}
void Stream::wait_for(const Event&) {}

Event::Event() : handle_(new EventState) {}
Event::~Event() { delete static_cast<EventState*>(handle_); }
void Event::record(Stream&) { static_cast<EventState*>(handle_)->at = std::chrono::steady_clock::now(); }
void Event::wait() const {}
float Event::milliseconds_since(const Event& start) const {
  return std::chrono::duration<float, std::milli>(static_cast<EventState*>(handle_)->at -
                                                  static_cast<EventState*>(start.handle_)->at)
      .count();
}

Graph::Graph(Stream& stream, const std::function<void()>& work) : handle_(new Work) {
  state_of(stream).recording = static_cast<Work*>(handle_);
  work();
  state_of(stream).recording = nullptr;
}
Graph::~Graph() { delete static_cast<Work*>(handle_); }
void Graph::replay(Stream&) {
  for (const auto& work : *static_cast<Work*>(handle_)) work();
}

namespace detail {

void* allocate(std::size_t bytes) {
  if (emulator::bytes_in_use() + bytes > emulator::device_bytes())
    throw Failure("no " + std::to_string(bytes) + " bytes of device memory: the emulated device is full");
  return emulator::allocate(bytes);
}
void free(void* device) noexcept { emulator::release(bytes_of(device)); }
void* allocate_pinned(std::size_t bytes) { return emulator::allocate_pinned(bytes); }
void free_pinned(void* host) noexcept { emulator::release_pinned(bytes_of(host)); }
void lock_pages(void* host, std::size_t bytes) { emulator::lock_pages(bytes_of(host), bytes); }
void unlock_pages(void* host) noexcept { emulator::unlock_pages(bytes_of(host)); }
void copy_to_device(void* device, const void* host, std::size_t bytes, Stream& stream) {
  emulator::enqueue(stream, [=] { emulator::copy_to_device(bytes_of(device), host, bytes); });
}
void copy_to_host(void* host, const void* device, std::size_t bytes, Stream& stream) {
  emulator::enqueue(stream, [=] { emulator::copy_to_host(host, bytes_of(device), bytes); });
}
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream& stream) {
  emulator::enqueue(stream, [=] { emulator::copy_on_device(bytes_of(to), bytes_of(from), bytes); });
}
void fill(void* device, int byte, std::size_t bytes, Stream& stream) {
  emulator::enqueue(stream, [=] { emulator::fill_device(bytes_of(device), byte, bytes); });
}

}  // namespace detail
}  // namespace cuda
}  // namespace swallowtail
