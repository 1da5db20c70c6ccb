// Memory, streams, events and graphs of the current device, for host code that need not see CUDA's headers.
// Implemented over the CUDA runtime (device.cu) and over host memory (tests/emulator/device.cpp).
// Work on one stream runs in order; different streams run side by side unless an Event orders them. Buffers are freed
// when their owner ends: the owner waits for the streams that use them first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <utility>

namespace swallowtail::cuda {

/// A call of the CUDA runtime failed, or a shape is beyond what a kernel takes. One line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Blocks of a launch. Grids of no blocks are not launched by the launchers.
struct Grid {
  std::int64_t x = 1, y = 1;
};

class Event;

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  void wait();                    // the host, for all work so far; throws Failure where a kernel failed
  void wait_for(const Event& event);  // later work of this stream, for what the event recorded
  void* handle() const noexcept { return handle_; }  // cudaStream_t

 private:
  void* handle_ = nullptr;
};

class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Stream& stream);
  void wait() const;                               // the host
  float milliseconds_since(const Event& start) const;  // both recorded and waited for
  void* handle() const noexcept { return handle_; }

 private:
  void* handle_ = nullptr;
};

/// Launches and copies that are recorded once and started with one call. Buffers that they name must outlive it.
class Graph {
 public:
  /// Calls `work`, whose work on the stream is recorded and not done.
  Graph(Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void replay(Stream& stream);

 private:
  void* handle_ = nullptr;  // cudaGraphExec_t
};

namespace detail {
void* allocate(std::size_t bytes);         // device, 256-byte aligned
void free(void* device) noexcept;
void* allocate_pinned(std::size_t bytes);  // host, page-locked; kernels may use it too, over the bus
void free_pinned(void* host) noexcept;
void lock_pages(void* host, std::size_t bytes);  // whole pages that exist: from now on as allocate_pinned's
void unlock_pages(void* host) noexcept;          // of one lock_pages()
void copy_to_device(void* device, const void* host, std::size_t bytes, Stream& stream);
void copy_to_host(void* host, const void* device, std::size_t bytes, Stream& stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream& stream);
void fill(void* device, int byte, std::size_t bytes, Stream& stream);
}  // namespace detail

template <typename T, void* (*allocate)(std::size_t), void (*release)(void*) noexcept>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t size)
      : data_(size == 0 ? nullptr : static_cast<T*>(allocate(static_cast<std::size_t>(size) * sizeof(T)))),
        size_(size) {}
  ~Buffer() {
    if (data_) release(data_);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  T* data() const noexcept { return data_; }
  std::int64_t size() const noexcept { return size_; }
  /// At least `size` elements; contents are lost where it grows.
  void reserve(std::int64_t size) {
    if (size > size_) *this = Buffer(size);
  }

 private:
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};
template <typename T>
using DeviceBuffer = Buffer<T, detail::allocate, detail::free>;  // not initialised
template <typename T>
using PinnedBuffer = Buffer<T, detail::allocate_pinned, detail::free_pinned>;

/// Copies run with the stream's other work. A host side that is not pinned makes the call wait.
template <typename T>
void copy_to_device(T* device, const T* host, std::int64_t count, Stream& stream) {
  detail::copy_to_device(device, host, static_cast<std::size_t>(count) * sizeof(T), stream);
}
template <typename T>
void copy_to_host(T* host, const T* device, std::int64_t count, Stream& stream) {
  detail::copy_to_host(host, device, static_cast<std::size_t>(count) * sizeof(T), stream);
}
template <typename T>
void copy_on_device(T* to, const T* from, std::int64_t count, Stream& stream) {
  detail::copy_on_device(to, from, static_cast<std::size_t>(count) * sizeof(T), stream);
}
template <typename T>
void zero(T* device, std::int64_t count, Stream& stream) {
  detail::fill(device, 0, static_cast<std::size_t>(count) * sizeof(T), stream);
}

template <typename T>
DeviceBuffer<T> to_device(std::span<const T> host, Stream& stream) {
  DeviceBuffer<T> buffer(static_cast<std::int64_t>(host.size()));
  copy_to_device(buffer.data(), host.data(), buffer.size(), stream);
  return buffer;
}

}  // namespace swallowtail::cuda
