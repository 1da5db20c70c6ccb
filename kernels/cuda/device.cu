// kernels/cuda/device.h over the CUDA runtime.
#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

namespace {

void check(cudaError_t result, const char* what) {
  if (result != cudaSuccess) throw Failure(std::string(what) + ": " + cudaGetErrorString(result));
}
void check_memory(cudaError_t result, const char* where, std::size_t bytes) {
  if (result == cudaSuccess) return;
  cudaGetLastError();  // a failed allocation is no reason for the next call to fail
  throw Failure("no " + std::to_string(bytes) + " bytes of " + where + " memory: " + cudaGetErrorString(result));
}
cudaStream_t stream_of(Stream& stream) { return static_cast<cudaStream_t>(stream.handle()); }
cudaEvent_t event_of(const Event& event) { return static_cast<cudaEvent_t>(event.handle()); }

}  // namespace

Stream::Stream() {
  cudaStream_t made = nullptr;
  check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a new stream");
  handle_ = made;
}
Stream::~Stream() { cudaStreamDestroy(static_cast<cudaStream_t>(handle_)); }
void Stream::wait() { check(cudaStreamSynchronize(stream_of(*this)), "work of a stream"); }
void Stream::wait_for(const Event& event) {
  check(cudaStreamWaitEvent(stream_of(*this), event_of(event), 0), "a stream's wait for an event");
}

Event::Event() {
  cudaEvent_t made = nullptr;
  check(cudaEventCreate(&made), "a new event");
  handle_ = made;
}
Event::~Event() { cudaEventDestroy(event_of(*this)); }
void Event::record(Stream& stream) { check(cudaEventRecord(event_of(*this), stream_of(stream)), "record of an event"); }
void Event::wait() const { check(cudaEventSynchronize(event_of(*this)), "wait for an event"); }
float Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event_of(start), event_of(*this)), "time between two events");
  return milliseconds;
}

Graph::Graph(Stream& stream, const std::function<void()>& work) {
  // Of this thread alone: another thread's loader may allocate meanwhile.
  check(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal), "begin of a graph's recording");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream_of(stream), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream_of(stream), &graph), "end of a graph's recording");
  cudaGraphExec_t made = nullptr;
  const cudaError_t result = cudaGraphInstantiate(&made, graph, 0);
  cudaGraphDestroy(graph);
  check(result, "a graph's instance");
  handle_ = made;
}
Graph::~Graph() { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(handle_)); }
void Graph::replay(Stream& stream) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(handle_), stream_of(stream)), "replay of a graph");
}

namespace detail {

void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  check_memory(cudaMalloc(&memory, bytes), "device", bytes);
  return memory;
}
void free(void* device) noexcept { cudaFree(device); }  // waits for work that uses it
void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  check_memory(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped), "pinned host", bytes);
  return memory;
}
void free_pinned(void* host) noexcept { cudaFreeHost(host); }
void lock_pages(void* host, std::size_t bytes) {
  check_memory(cudaHostRegister(host, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped), "page-locked host",
               bytes);
  void* on_device = nullptr;
  const cudaError_t result = cudaHostGetDevicePointer(&on_device, host, 0);
  if (result == cudaSuccess && on_device == host) return;
  cudaHostUnregister(host);
  cudaGetLastError();
  throw Failure("the device does not see page-locked memory where the host sees it");
}
void unlock_pages(void* host) noexcept { cudaHostUnregister(host); }
void copy_to_device(void* device, const void* host, std::size_t bytes, Stream& stream) {
  if (bytes)
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_of(stream)), "copy to the device");
}
void copy_to_host(void* host, const void* device, std::size_t bytes, Stream& stream) {
  if (bytes) check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_of(stream)), "copy to the host");
}
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream& stream) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_of(stream)), "copy on the device");
}
void fill(void* device, int byte, std::size_t bytes, Stream& stream) {
  if (bytes) check(cudaMemsetAsync(device, byte, bytes, stream_of(stream)), "fill of device memory");
}

}  // namespace detail
}  // namespace swallowtail::cuda
