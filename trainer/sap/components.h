// What SAP is made of and who makes it. A component is a ranking model of its own; the pipeline (sap.h) asks for it by
// name and knows neither how it is trained nor where it is kept: that is the business of a workshop, of which
// trainer/training/sap_workshop.h is the real one and tests have their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/ranking/ranker.h"

namespace swallowtail {

/// What a component has seen of the training interactions.
enum class SapFold : std::uint8_t {
  without_meta,  // all but the last one of each user: what the heads learn from must be new to it
  whole
};
constexpr std::string_view fold_name(SapFold fold) { return fold == SapFold::whole ? "whole" : "without_meta"; }

struct SapComponent {
  std::string name, type;         // as the experiment calls it; its model.type
  std::shared_ptr<Ranker> model;  // prepared to score; what it refers to lives as long
};

class SapWorkshop {
 public:
  struct Order {
    std::string name, type;
  };

  virtual ~SapWorkshop() = default;
  /// The components that are enabled, in the experiment's order.
  virtual const std::vector<Order>& components() const = 0;
  /// Everything that decides what a component becomes, as one word.
  virtual std::string identity(const std::string& name) const = 0;
  /// Collective: trains a component, or goes on with it, or takes it as it has been trained before. Errors: those of
  /// training.
  virtual SapComponent make(const std::string& name, SapFold fold) = 0;
  /// Collective: a component of a finished run. Errors: damaged, usage.
  virtual SapComponent open(const std::string& name, SapFold fold) = 0;
  /// Collective: fills `state` with what the stage came to when all that it is made of (`digest`) was the same, and
  /// `facts`; false where there is no such thing.
  virtual bool restore_stage(std::string_view stage, const std::string& digest, std::span<const RankerState> state,
                             nlohmann::json& facts) = 0;
  /// Collective.
  virtual void save_stage(std::string_view stage, const std::string& digest, std::span<const RankerState> state,
                          const nlohmann::json& facts) = 0;
  /// SHA-256 of a text.
  virtual std::string digest(std::string_view text) const = 0;
  virtual void note(const std::string& words) = 0;
};

/// `data` without the last training interaction of each user that has at least `least` of them; those are the
/// validation part, and there is no test part.
Interactions without_meta(const Interactions& data, std::int64_t least = 3);

}  // namespace swallowtail
