#include "trainer/report/machine.h"

#include <gtest/gtest.h>

#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

/// A machine with 1 GiB, half of it available.
void fake_machine(const TemporaryFolder& root) {
  std::filesystem::create_directories(root / "proc/self");
  std::filesystem::create_directories(root / "sys/fs/cgroup/job/step");
  std::filesystem::create_directories(root / "sys/fs/cgroup/memory/job");
  std::filesystem::create_directories(root / "sys/fs/cgroup/cpu/job");
  write_text(root / "proc/cpuinfo",
             "processor\t: 0\nmodel name\t: Example CPU 9000\nprocessor\t: 1\nmodel name\t: x\n");
  write_text(root / "proc/meminfo", "MemTotal:        1048576 kB\nMemFree:  1 kB\nMemAvailable:     524288 kB\n");
  write_text(root / "proc/self/cgroup", "0::/\n");
}

TEST(Machine, ReadsProcessorAndMemory) {
  TemporaryFolder root;
  fake_machine(root);
  const auto machine = machine_facts(root.path());
  EXPECT_EQ(machine.cpu, "Example CPU 9000");
  EXPECT_EQ(machine.memory_total_bytes, 1024 * kMebibyte);
  EXPECT_EQ(machine.memory_available_bytes, 512 * kMebibyte);
  EXPECT_FALSE(machine.is_memory_limited);
  EXPECT_EQ(machine.cpu_quota, 0);
}

TEST(Machine, ALimitOfAnyGroupAboveHolds) {
  TemporaryFolder root;
  fake_machine(root);
  write_text(root / "proc/self/cgroup", "0::/job/step\n");
  write_text(root / "sys/fs/cgroup/job/step/memory.max", "max\n");
  write_text(root / "sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
  write_text(root / "sys/fs/cgroup/job/memory.max", std::to_string(256 * kMebibyte) + "\n");
  write_text(root / "sys/fs/cgroup/job/memory.current", std::to_string(200 * kMebibyte) + "\n");
  write_text(root / "sys/fs/cgroup/job/memory.stat",
             "anon 1\nfile 2\ninactive_file " + std::to_string(50 * kMebibyte) + "\nactive_file 3\n");
  write_text(root / "sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  const auto machine = machine_facts(root.path());
  EXPECT_TRUE(machine.is_memory_limited);
  EXPECT_EQ(machine.memory_total_bytes, 256 * kMebibyte);
  EXPECT_EQ(machine.memory_available_bytes, 106 * kMebibyte);
  EXPECT_DOUBLE_EQ(machine.cpu_quota, 1.5);
}

TEST(Machine, UnderstandsTheFirstVersionOfControlGroups) {
  TemporaryFolder root;
  fake_machine(root);
  write_text(root / "proc/self/cgroup", "12:memory:/job\n4:cpuacct,cpu:/job\n1:name=systemd:/job\n");
  write_text(root / "sys/fs/cgroup/memory/job/memory.limit_in_bytes", std::to_string(64 * kMebibyte) + "\n");
  write_text(root / "sys/fs/cgroup/memory/job/memory.usage_in_bytes", std::to_string(70 * kMebibyte) + "\n");
  write_text(root / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  write_text(root / "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  const auto machine = machine_facts(root.path());
  EXPECT_EQ(machine.memory_total_bytes, 64 * kMebibyte);
  EXPECT_EQ(machine.memory_available_bytes, 0);
  EXPECT_EQ(machine.cpu_quota, 0);
}

TEST(Machine, NothingReadableIsNoError) {
  const auto machine = machine_facts("/nonexistent");
  EXPECT_EQ(machine.cpu, "unknown");
  EXPECT_EQ(machine.memory_total_bytes, 0);
}

TEST(Machine, ThisOneHasFacts) {
  const auto machine = machine_facts();
  EXPECT_GE(machine.cores, 1);
  EXPECT_GT(machine.memory_available_bytes, 0);
  EXPECT_GE(machine.memory_total_bytes, machine.memory_available_bytes);
  EXPECT_FALSE(machine.version.empty());
  EXPECT_EQ(to_json(machine)["kernel"], machine.kernel);
}

}  // namespace
}  // namespace swallowtail
