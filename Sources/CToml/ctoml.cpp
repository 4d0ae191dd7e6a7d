// The shim between toml++ and C. Nothing thrown in here leaves it: parse errors are values (TOML_EXCEPTIONS 0), and
// running out of memory is a NULL document.

#include "ctoml.h"

#ifndef TOML_HEADER_ONLY
#define TOML_HEADER_ONLY 1
#endif
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

struct ctoml_document {
    bool failed = false;
    ctoml_error error{};
    std::vector<ctoml_item> items;
    // A deque never moves what it holds, so that the items may point into it.
    std::deque<std::string> texts;

    ctoml_text keep(std::string_view text)
    {
        const std::string &kept = texts.emplace_back(text);
        return {kept.data(), kept.size()};
    }
};

namespace {

ctoml_position position_of(const toml::source_region &region)
{
    return {region.begin.line, region.begin.column};
}

template <typename T>
std::string written(const T &value)
{
    std::ostringstream stream;
    stream << value;
    return stream.str();
}

// Recursive: TOML nests values 256 deep at most here, and dotted keys are cut below.
constexpr std::uint32_t depth_limit = 64;

void walk(ctoml_document &document, const toml::node &node, const toml::key *key, std::uint32_t depth);

void walk_children(ctoml_document &document, const toml::table &table, std::uint32_t depth)
{
    // toml++ keeps a table sorted by key; a reader thinks in the order of the text.
    struct entry {
        const toml::key *key;
        const toml::node *node;
    };
    std::vector<entry> entries;
    entries.reserve(table.size());
    for (auto &&[key, node] : table)
        entries.push_back({&key, &node});
    std::stable_sort(entries.begin(), entries.end(), [](const entry &left, const entry &right) {
        const auto a = left.key->source().begin, b = right.key->source().begin;
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    for (const entry &each : entries)
        walk(document, *each.node, each.key, depth);
}

void walk(ctoml_document &document, const toml::node &node, const toml::key *key, std::uint32_t depth)
{
    ctoml_item item{};
    item.depth = depth;
    item.value_position = position_of(node.source());
    if (key) {
        item.has_key = true;
        item.key = document.keep(key->str());
        item.key_position = position_of(key->source());
    }
    switch (node.type()) {
    case toml::node_type::string:
        item.kind = CTOML_STRING;
        item.text = document.keep(node.as_string()->get());
        break;
    case toml::node_type::integer:
        item.kind = CTOML_INTEGER;
        item.integer = node.as_integer()->get();
        break;
    case toml::node_type::floating_point:
        item.kind = CTOML_FLOAT;
        item.floating = node.as_floating_point()->get();
        break;
    case toml::node_type::boolean:
        item.kind = CTOML_BOOLEAN;
        item.boolean = node.as_boolean()->get();
        break;
    case toml::node_type::date:
        item.kind = CTOML_DATETIME;
        item.text = document.keep(written(node.as_date()->get()));
        break;
    case toml::node_type::time:
        item.kind = CTOML_DATETIME;
        item.text = document.keep(written(node.as_time()->get()));
        break;
    case toml::node_type::date_time:
        item.kind = CTOML_DATETIME;
        item.text = document.keep(written(node.as_date_time()->get()));
        break;
    case toml::node_type::array:
        item.kind = CTOML_ARRAY;
        document.items.push_back(item);
        if (depth < depth_limit)
            for (const toml::node &each : *node.as_array())
                walk(document, each, nullptr, depth + 1);
        return;
    default:
        item.kind = CTOML_TABLE;
        document.items.push_back(item);
        if (depth < depth_limit)
            walk_children(document, *node.as_table(), depth + 1);
        return;
    }
    document.items.push_back(item);
}

// toml++ takes a dotted key apart in a loop, but frees the tables that it stands for by recursion: 500,000 parts ended
// the process. A key is what stands between these delimiters; a string with as many dots is no loss.
constexpr std::uint32_t part_limit = 1000;

bool has_endless_key(std::string_view text, ctoml_position &position)
{
    std::uint32_t dots = 0, line = 1, column = 0;
    for (const char byte : text) {
        if ((byte & 0xC0) != 0x80)
            ++column;
        if (byte == '.' && ++dots >= part_limit) {
            position = {line, column};
            return true;
        }
        if (std::string_view{"=,[]{}\n"}.find(byte) != std::string_view::npos)
            dots = 0;
        if (byte == '\n') {
            ++line;
            column = 0;
        }
    }
    return false;
}

} // namespace

ctoml_document *ctoml_parse(const char *bytes, size_t length)
try {
    auto document = std::make_unique<ctoml_document>();
    const std::string_view text{length ? bytes : "", length};
    if (has_endless_key(text, document->error.position)) {
        document->failed = true;
        document->error.message = document->keep("a key has more than 1000 parts");
        return document.release();
    }
    const toml::parse_result result = toml::parse(text);
    if (result) {
        walk_children(*document, result.table(), 0);
    } else {
        document->failed = true;
        document->error.message = document->keep(result.error().description());
        document->error.position = position_of(result.error().source());
    }
    return document.release();
} catch (...) {
    return nullptr;
}

void ctoml_free(ctoml_document *document)
{
    delete document;
}

const ctoml_error *ctoml_get_error(const ctoml_document *document)
{
    return document->failed ? &document->error : nullptr;
}

size_t ctoml_get_count(const ctoml_document *document)
{
    return document->items.size();
}

ctoml_item ctoml_get_item(const ctoml_document *document, size_t index)
{
    return document->items[index];
}
