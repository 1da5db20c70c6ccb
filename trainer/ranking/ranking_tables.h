// Embedding tables of users and items for rankers: sharded as everywhere, in exact mode, so that no sharding and no
// number of ranks changes a bit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/embedding/sharded_embedding.h"
#include "trainer/ranking/ranker.h"

namespace swallowtail {

/// The tables "users" (one id a sample) and "items" (any number of ids a sample, one vector an id), as embedding.*
/// says.
std::vector<EmbeddingTable> user_and_item_tables(const RankerInput& input, double items_a_sample);

std::unique_ptr<ShardedEmbedding> make_ranking_embedding(const RankerInput& input, std::vector<EmbeddingTable> tables);

/// Collective: the whole table [rows, dim] on every rank.
std::vector<float> gather_table(ShardedEmbedding& embedding, std::int64_t table, Communicator& ranks);

}  // namespace swallowtail
