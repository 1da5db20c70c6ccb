// Keys of the section data that only interactions have.
#include <array>

#include "trainer/config/schema.h"

namespace swallowtail::config {
namespace {

const std::array kKeys{
    Key{.path = "data.columns.*.name",
        .kind = Kind::text,
        .default_value = "null",
        .meaning = "interactions: the header's name of the column that is the user, item, rating or timestamp; "
                   "`columns: {user: reader}` is short for `columns: {user: {name: reader}}`",
        .length = {1, 1000}},
    Key{.path = "data.users",
        .kind = Kind::paths,
        .default_value = "null",
        .meaning = "interactions: files of what is known of users, by the user's column; null for none"},
    Key{.path = "data.items",
        .kind = Kind::paths,
        .default_value = "null",
        .meaning = "interactions: files of what is known of items, by the item's column; null for none"},
    Key{.path = "data.candidates",
        .kind = Kind::paths,
        .default_value = "null",
        .meaning = "interactions: the user, the true item and negatives a line, for evaluation.protocol: sampled"},
    Key{.path = "data.text",
        .kind = Kind::texts,
        .default_value = "[]",
        .meaning =
            "columns of free text: of a csv file for model.type: dlrm, each with a text encoder of its own; of the "
            "side tables of interactions, or of their training files (reviews), whose texts are joined by item; "
            "data.dense, data.categorical and data.multi_hot name other columns of side tables; the rest goes by "
            "the header's types (name:token) or by its values"},
    Key{.path = "data.images",
        .kind = Kind::texts,
        .default_value = "[]",
        .meaning =
            "interactions: the column of data.items that names image files (PNG or JPEG), from the folder of that "
            "table; an image that cannot be read is reported in quarantine.tsv, and its item has none",
        .length = {0, 1}},
    Key{.path = "data.min_rating",
        .kind = Kind::number,
        .default_value = "null",
        .meaning = "interactions: rows with a smaller rating are left out; by default every row is a positive"},
    Key{.path = "data.duplicates",
        .kind = Kind::choice,
        .default_value = "last",
        .meaning = "interactions: which of several rows of one user and item in a part stays, by time",
        .choices = {"keep", "first", "last", "fail"}},
    Key{.path = "data.min_user_count",
        .kind = Kind::integer,
        .default_value = "1",
        .meaning = "interactions: training rows of users with fewer of them are left out",
        .unit = "rows",
        .range = at_least(1)},
    Key{.path = "data.min_item_count",
        .kind = Kind::integer,
        .default_value = "1",
        .meaning = "interactions: training rows of items with fewer of them are left out",
        .unit = "rows",
        .range = at_least(1)},
    Key{.path = "data.repeat_filters",
        .kind = Kind::boolean,
        .default_value = "true",
        .meaning = "interactions: the smallest counts are applied until all that stays fulfils both (k-core), or once"},
    Key{.path = "data.max_history",
        .kind = Kind::integer,
        .default_value = "null",
        .meaning = "interactions: training rows of each user that stay, after the split; the other parts and the "
                   "catalogue keep theirs, so models are compared on short histories",
        .unit = "rows",
        .range = at_least(1)},
    Key{.path = "data.max_history_of",
        .kind = Kind::choice,
        .default_value = "latest",
        .meaning = "interactions: which of a user's training rows data.max_history leaves, by time",
        .choices = {"latest", "first"}},
};

}  // namespace

std::span<const Key> interaction_keys() { return kKeys; }

}  // namespace swallowtail::config
