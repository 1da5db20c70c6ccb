// What the machine does at best, measured by loops that do nothing else: the figures beside which kernels are judged.
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

/// Adds up the rows that `ids` name, asking for rows ahead of their use, and writes nothing but one number: the most
/// that a lookup can do. table [rows, dim]; dim a multiple of 16.
float gather_rows(const float* table, std::span<const std::int64_t> ids, std::int64_t dim);
/// Copies these rows to `out` [out_rows, dim], from its start again when it is full: the most that a lookup of one row
/// a bag can do, which writes as much as it reads.
void copy_rows(const float* table, std::span<const std::int64_t> ids, std::int64_t dim, float* out,
               std::int64_t out_rows);
/// Reads and writes each of these rows once: the most that an update can do.
void modify_rows(float* table, std::span<const std::int64_t> ids, std::int64_t dim);
/// Independent chains of fused multiply-adds; returns the number of floating-point operations.
double multiply_add(std::int64_t rounds, float* sink);

}  // namespace swallowtail
