// Keys of text and images: how texts become words, and the networks that read them.
#include <array>

#include "trainer/config/schema.h"

namespace swallowtail::config {
namespace {

const std::array kKeys{
    Key{.path = "data.text_length",
        .kind = Kind::integer,
        .default_value = "64",
        .meaning = "words of a text that are read, from its beginning",
        .unit = "words",
        .range = between(1, 4096)},
    Key{.path = "data.text_min_count",
        .kind = Kind::integer,
        .default_value = "2",
        .meaning = "words that the texts hold less often share 64 rows, as words do that come later",
        .unit = "words",
        .range = at_least(1)},
    Key{.path = "data.text_max_words",
        .kind = Kind::integer,
        .default_value = "50000",
        .meaning = "words with a vector of their own, the commonest ones",
        .unit = "words",
        .range = between(1, 1e7)},

    Key{.path = "model.text.dim",
        .kind = Kind::integer,
        .default_value = "100",
        .meaning = "width of the word vectors",
        .unit = "floats",
        .range = between(1, 4096)},
    Key{.path = "model.text.window",
        .kind = Kind::integer,
        .default_value = "5",
        .meaning = "word vectors: words on each side that tell of a word, at most",
        .unit = "words",
        .range = between(1, 1000)},
    Key{.path = "model.text.negatives",
        .kind = Kind::integer,
        .default_value = "null",
        .meaning = "word vectors: words of noise for each word; by default 15, from a million words of text on 5",
        .unit = "words",
        .range = between(1, 1000)},
    Key{.path = "model.text.epochs",
        .kind = Kind::integer,
        .default_value = "null",
        .meaning =
            "word vectors: passes over the texts before the model is trained; by default 30, from a million words "
            "of text on 5; 0 leaves them as drawn",
        .unit = "epochs",
        .range = between(0, 10000)},
    Key{.path = "model.text.widths",
        .kind = Kind::integers,
        .default_value = "[3, 4, 5]",
        .meaning = "words that a convolution over a text sees at once, one convolution each",
        .unit = "words",
        .range = between(1, 64),
        .length = {1, 16}},
    Key{.path = "model.text.maps",
        .kind = Kind::integer,
        .default_value = "64",
        .meaning = "feature maps of each convolution over a text",
        .unit = "maps",
        .range = between(1, 4096)},
    Key{.path = "model.text.dropout",
        .kind = Kind::number,
        .default_value = "0.5",
        .meaning = "share of a text's features dropped in training",
        .range = between(0, 0.95)},
    Key{.path = "model.text.frozen",
        .kind = Kind::boolean,
        .default_value = "false",
        .meaning = "word vectors stay as they were before the model is trained; else they follow at a tenth of its "
                   "learning rate after the first tenth of the steps"},

    Key{.path = "model.image.maps",
        .kind = Kind::integers,
        .default_value = "[32, 64, 128, 128]",
        .meaning = "feature maps of the convolutions over an image, each of which halves its sides",
        .unit = "maps",
        .range = between(1, 4096),
        .length = {1, 6}},
    Key{.path = "model.content.stretch",
        .kind = Kind::integer,
        .default_value = "16",
        .meaning = "content: interactions of a user that a sample asks for at once, knowing those before them",
        .unit = "items",
        .range = between(1, 10000)},
    Key{.path = "model.content.candidates",
        .kind = Kind::integer,
        .default_value = "2000",
        .meaning = "content: items drawn for the softmax of a chunk; a catalogue without more takes part as a whole",
        .unit = "items",
        .range = between(1, 1e6)},
    Key{.path = "model.content.history_dropout",
        .kind = Kind::number,
        .default_value = "0.2",
        .meaning =
            "content: share of samples whose history is emptied in training, so that new users are not unheard of",
        .range = between(0, 1)},
};

}  // namespace

std::span<const Key> text_keys() { return kKeys; }

}  // namespace swallowtail::config
