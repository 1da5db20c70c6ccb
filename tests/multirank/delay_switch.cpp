// An Ethernet switch between TAP devices that holds every frame for a while: the delay of a network on a kernel without
// netem. usage: delay_switch MICROSECONDS TAP TAP [TAP ...], until it is killed. It learns where an address is, as a
// switch does, and sends to all others what it does not know.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Address = std::array<unsigned char, 6>;

struct Frame {
  Clock::time_point leaves;
  std::size_t from;
  std::vector<unsigned char> bytes;
  Address destination() const { return address(0); }
  Address source() const { return address(6); }

 private:
  Address address(std::size_t start) const {
    Address found;
    std::memcpy(found.data(), bytes.data() + start, found.size());
    return found;
  }
};

int open_tap(const char* name) {
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (device >= 0 && ioctl(device, TUNSETIFF, &request) == 0) return device;
  fmt::print(stderr, "delay_switch: {}: {}\n", name, std::strerror(errno));
  std::exit(1);
}

class Switch {
 public:
  Switch(Clock::duration delay, int taps, char** names) : delay_(delay) {
    for (int i = 0; i < taps; ++i) ports_.push_back({open_tap(names[i]), POLLIN, 0});
  }

  [[noreturn]] void run() {
    for (;;) {
      send_due();
      timespec wait{};
      if (!held_.empty()) {
        const auto left = std::max(Clock::duration::zero(), held_.front().leaves - Clock::now());
        wait.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
      }
      if (ppoll(ports_.data(), ports_.size(), held_.empty() ? nullptr : &wait, nullptr) <= 0) continue;
      for (std::size_t port = 0; port < ports_.size(); ++port)
        if (ports_[port].revents & POLLIN) take(port);
    }
  }

 private:
  void take(std::size_t port) {
    std::array<unsigned char, 65536> buffer;
    for (;;) {
      const auto size = read(ports_[port].fd, buffer.data(), buffer.size());
      if (size < 14) return;
      held_.push_back({Clock::now() + delay_, port, {buffer.begin(), buffer.begin() + size}});
      port_of_[held_.back().source()] = port;
    }
  }

  void send_due() {
    for (const auto now = Clock::now(); !held_.empty() && held_.front().leaves <= now; held_.pop_front()) {
      const auto& frame = held_.front();
      const auto known = port_of_.find(frame.destination());
      for (std::size_t port = 0; port < ports_.size(); ++port)
        if (port != frame.from && (known == port_of_.end() || known->second == port))
          while (write(ports_[port].fd, frame.bytes.data(), frame.bytes.size()) < 0 && errno == EINTR) {
          }
    }
  }

  const Clock::duration delay_;
  std::vector<pollfd> ports_;
  std::deque<Frame> held_;  // the delay is the same for all, so the first one leaves first
  std::map<Address, std::size_t> port_of_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: delay_switch MICROSECONDS TAP TAP [TAP ...]\n");
    return 2;
  }
  Switch(std::chrono::microseconds(std::atoi(argv[1])), argc - 2, argv + 2).run();
}
