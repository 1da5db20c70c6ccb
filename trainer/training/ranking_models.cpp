#include "trainer/training/ranking_models.h"

#include <algorithm>
#include <array>

#include "trainer/rankers/content.h"
#include "trainer/rankers/ease.h"
#include "trainer/sap/sap.h"
#include "trainer/training/sap_workshop.h"
#include "trainer/training/torch_ranker.h"

namespace swallowtail {

namespace {
const std::array kModels{
    RankerEntry{"popularity", "the number of training interactions of an item", make_popularity},
    RankerEntry{"demographic", "popularity within the groups that data.users puts the user in", make_demographic},
    RankerEntry{"item_knn", "likeness to the items of the history, by common users", make_item_knn},
    RankerEntry{"ease", "a linear model of items on items, solved in closed form", make_ease},
    RankerEntry{"gru4rec", "a recurrent cell over the history, softmax over the next item",
                [](const RankerInput& input) { return make_torch_ranker(input, make_gru4rec); }},
    RankerEntry{"sasrec", "self-attention over the history, softmax over the next item",
                [](const RankerInput& input) { return make_torch_ranker(input, make_sasrec); }},
    RankerEntry{"lightgcn", "products of vectors that have been averaged over the graph of users and items",
                make_light_gcn},
    RankerEntry{"mult_vae", "a variational autoencoder of a user's items",
                [](const RankerInput& input) { return make_torch_ranker(input, make_mult_vae); }},
    RankerEntry{"mult_dae", "a denoising autoencoder of a user's items",
                [](const RankerInput& input) { return make_torch_ranker(input, make_mult_dae); }},
    RankerEntry{"gmf", "weighted products of user and item vectors",
                [](const RankerInput& input) { return make_torch_ranker(input, make_gmf); }},
    RankerEntry{"mlp", "a tower over user and item vectors",
                [](const RankerInput& input) { return make_torch_ranker(input, make_mlp_ranker); }},
    RankerEntry{"neumf", "gmf and mlp together",
                [](const RankerInput& input) { return make_torch_ranker(input, make_neumf); }},
    RankerEntry{"einmf", "neural factorization of ratings and of preference at once",
                [](const RankerInput& input) { return make_torch_ranker(input, make_einmf); }},
    RankerEntry{"youtube", "a tower over the mean of the history and the user's columns, softmax over the next item",
                [](const RankerInput& input) { return make_torch_ranker(input, make_youtube); }},
    RankerEntry{"content", "towers over what is known of users and items: columns, texts, images",
                [](const RankerInput& input) { return make_torch_ranker(input, make_content); }},
    RankerEntry{"sap", "components of all kinds, weighed for each stratum of users, re-ranked and re-ordered",
                [](const RankerInput& input) { return make_sap(input, make_sap_workshop(input, {})); }},
    RankerEntry{"bpr_mf", "products of user and item vectors, trained on pairs", make_bpr_mf, true},
};
}  // namespace

std::span<const RankerEntry> ranking_models() { return kModels; }

const RankerEntry* ranking_entry(const Experiment& experiment) {
  const auto* const found = std::ranges::find(kModels, experiment.text("model.type"), &RankerEntry::name);
  return found == kModels.end() ? nullptr : found;
}

bool is_ranking(const Experiment& experiment) { return ranking_entry(experiment) != nullptr; }

std::unique_ptr<Ranker> make_ranker(const RankerInput& input) {
  if (const RankerEntry* const entry = ranking_entry(input.experiment)) return entry->make(input);
  throw input.experiment.error("model.type", "no ranking model of this name");
}

}  // namespace swallowtail
