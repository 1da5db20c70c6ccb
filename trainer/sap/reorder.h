// Secondary re-ordering of a ranked list: likeness to what is already chosen costs, novelty pays, and constraints hold.
// Greedy, one item a pick. Sources: MMR: Carbonell and Goldstein, SIGIR 1998; xQuAD: Santos, Macdonald, Ounis, WWW
// 2010; SAP.md 2.9.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/evaluation/ranked_lists.h"

namespace swallowtail {

/// Sparse vectors of items: item i has weights[j] at ids[j], j in [offsets[i], offsets[i + 1]), ids rising. Borrowed.
struct SparseVectors {
  std::span<const std::int64_t> offsets, ids;
  std::span<const float> weights;  // none: all 1
};

/// Cosine, 0 where one of both is empty.
double sparse_cosine(const SparseVectors& vectors, std::int64_t a, std::int64_t b);

enum class ReorderMethod : std::uint8_t { mmr, xquad };
enum class Constraint : std::uint8_t { max_per_category, min_new, must_have };
std::string_view constraint_name(Constraint constraint);

struct ReorderConstraints {
  std::int64_t max_per_category = 0;        // items of the list with a common category; 0: any number
  std::int64_t min_new = 0;                 // items of the list that are new
  std::span<const std::uint8_t> is_new;     // [catalogue]; needed for min_new
  std::span<const std::int64_t> blocked;    // never in the list
  std::span<const std::int64_t> must_have;  // in the list, at whatever place, as far as they are candidates
  /// What is given up first where a pick cannot keep all. What is not named is never given up: the list ends instead.
  /// Picks look ahead for must_have and min_new, but are not undone: with several constraints at once one may be given
  /// up that another choice of items would have kept.
  std::vector<Constraint> relax{Constraint::min_new, Constraint::max_per_category, Constraint::must_have};
};

struct ReorderOptions {
  ReorderMethod method = ReorderMethod::mmr;
  double lambda = 0;         // 0: the order of relevance; 1: only unlikeness counts
  double nu = 0;             // weight of novelty (mmr)
  std::int64_t length = 10;  // of the new list
};

/// The candidates of one user. All borrowed.
struct ReorderInput {
  std::span<const std::int64_t> items;  // [P] distinct
  std::span<const float> relevance;     // [P] the higher the better; scaled to [0, 1] within
  std::span<const float> novelty;       // [catalogue], see novelty_of(); empty where nu is 0
  SparseVectors likeness;               // mmr: over the catalogue
  ItemBags categories;                  // xquad and max_per_category: over the catalogue
  /// xquad: share of the user's history in each category, [categories]; empty: alike for all.
  std::span<const float> interest;
};

struct Reordered {
  std::vector<std::int64_t> places;  // of input.items, in the new order; `length`, or fewer
  std::vector<Constraint> relaxed;   // given up, in that order
  bool is_short = false;             // fewer than asked for, though candidates were left
};

/// mmr: the next item is that of the greatest (1 - lambda) rel - lambda max over chosen j of cosine(i, j) + nu novelty.
/// xquad: (1 - lambda) rel + lambda sum over categories g of interest_g P(i|g) prod over chosen j of (1 - P(j|g)), with
/// P(i|g) = rel_i / (categories of i + 1), where the 1 keeps one item from exhausting a category.
/// Ties go to the greater relevance, then to the smaller item; so lambda 0 and nu 0 without constraints give the order
/// of relevance. Requires finite relevance. Cost: length * P likenesses.
Reordered reorder(const ReorderInput& input, const ReorderOptions& options, const ReorderConstraints& constraints);

/// -log2((n_i + 1) / (U + 1)) / log2(U + 1) of every item: 1 for one that nobody has touched, 0 for one that all have.
std::vector<float> novelty_of(std::span<const std::int64_t> train_counts, std::int64_t train_users);

}  // namespace swallowtail
