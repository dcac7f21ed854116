#include <caffe2/serialize/inline_container.h>
#include "cases.hpp"
#include "executable.hpp"

namespace conv_mult {
namespace {
using namespace std::string_literals;

class ModelFile : public EachVariant {};
CONV_MULT_FOR_EACH_VARIANT(ModelFile);

void expect_same(const Model& read, const Model& saved) {
  const auto& [variant, size] = read.architecture;
  const auto& [saved_variant, saved_size] = saved.architecture;
  EXPECT_EQ(std::tie(variant, size.kernel_size, size.depth, size.width, size.bias),
            std::tie(saved_variant, saved_size.kernel_size, saved_size.depth, saved_size.width, saved_size.bias));
  EXPECT_TRUE(torch::equal(weights_of(read), weights_of(saved)));
}

/// Why it is refused; nothing where it is a model.
std::string refusal_of(const std::string& content) {
  try {
    parse_model_file(content);
    return "";
  } catch (const std::runtime_error& error) { return error.what(); }
}

using Records = std::map<std::string, std::string>;

Records records_of(const std::string& content) {
  std::istringstream stream(content);
  caffe2::serialize::PyTorchStreamReader reader(&stream);
  Records records;
  for (const auto& name : reader.getAllRecords()) {
    const auto [data, size] = reader.getRecord(name);
    records[name] = std::string(static_cast<const char*>(data.get()), size);
  }
  return records;
}

TEST_P(ModelFile, NoPartAndNoFlippedBitIsAnotherModel) {
  const auto whole = make_model(architecture(), {7, 1}, at::kFloat, at::kCPU);
  const auto content = model_file(whole);
  expect_same(parse_model_file(content), whole);
  const std::size_t stride = checked_build ? 7 : 1;
  std::vector<bool> inside(content.size());  // a record; the shortest, which stand elsewhere too, are left out
  for (const auto& [name, record] : records_of(content)) {
    const auto begin = inside.begin() + static_cast<std::ptrdiff_t>(content.find(record));
    if (record.size() >= 16) { std::fill_n(begin, record.size(), true); }
  }
  EXPECT_GE(std::count(inside.begin(), inside.end(), true), 200);
  const auto is_refused = [&](const std::string& damaged) {  // in one line, or it was nothing that counts
    const auto why = refusal_of(damaged);
    EXPECT_EQ(why.find('\n'), why.npos) << why;
    if (why.empty()) { expect_same(parse_model_file(damaged), whole); }
    return !why.empty();
  };
  for (std::size_t bit = 0; bit < 8 * content.size(); bit += stride) {
    auto damaged = content;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(is_refused(damaged) || !inside[bit / 8]) << bit;  // others are of times and attributes
  }
  for (std::size_t size = 0; size < content.size(); size += stride) {
    EXPECT_TRUE(is_refused(content.substr(0, size))) << size;
  }
}

/// With checksums that are right.
std::string archive_of(const Records& records) {
  std::string content;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
    content.append(static_cast<const char*>(data), size);
    return size;
  });
  for (const auto& [name, record] : records) { writer.writeRecord(name, record.data(), record.size()); }
  writer.writeEndOfFile();
  return content;
}

class Pickle : public testing::Test {
 protected:
  Records records_ = records_of(
      model_file(make_model(Architecture{&variants::nmu, {3, 1, 1}}, SeedRange{7, 1}, at::kFloat, at::kCPU)));
  std::string& pickle_ = records_.at("data.pkl");
};

// As a hostile file would have it: its checksums are right.
TEST_F(Pickle, WhateverItHoldsIsReadOrRefusedInOurWords) {
  const auto whole = pickle_;
  std::mt19937_64 random(7);
  const int count = checked_build ? 3000 : 20000;
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    pickle_ = whole;
    for (auto changes = random() % 3; changes < 3; ++changes) {
      const auto at = random() % pickle_.size();
      const auto from = random() % whole.size();
      switch (random() % 4) {
        case 0: pickle_.insert(at, whole, from, random() % 40); break;
        case 1: pickle_.erase(at, random() % 40); break;
        default: pickle_[at] = random() % 2 == 0 ? whole[from] : static_cast<char>(random());
      }
      if (pickle_.empty()) { break; }
    }
    const auto why = refusal_of(archive_of(records_));
    refused += why.empty() ? 0 : 1;
    EXPECT_EQ(why.find("ASSERT"), std::string::npos) << why;
  }
  EXPECT_GT(refused, count / 2);
  EXPECT_LT(refused, count);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    pickle_ = whole.substr(0, size);
    EXPECT_NE(refusal_of(archive_of(records_)), "") << size;
  }
}

TEST_F(Pickle, WhatIsNoModelIsNamed) {
  std::string twice_in_itself;  // a tuple, sixty times over: whoever looks at all its parts is never done
  for (int i = 0; i < 60; ++i) { twice_in_itself += "q\0h\0\x86"s; }
  for (const auto& [pickle, words] : std::vector<std::pair<std::string, std::string>>{
           {"cposix\nsystem\nX\x02\0\0\0ls\x85R."s, "posix.system"},
           {"cos\nsystem\n.", "dictionary"},
           {"cposix\nsystem\n)\x81.", "opcode 0x81"},
           {")" + std::string(100000, '\x85') + ".", "lists and dictionaries"},
           {std::string(100000, ']') + std::string(99999, 'a') + ".", "lists and dictionaries"},
           {"]q\0h\0a."s, "dictionary"},
           {"}(K\x01K\x02u.", "it lacks variant"},
           {"})" + twice_in_itself + "K\x01s.", "a key"},
           {"(X\xff\xff\xff\xffvariant", "too early"},
           {"t.", "not there"},
           {"(.", "not there"},
           {"\x80\x04}.", "protocol"},
           {"", "too early"}}) {
    pickle_ = "\x80\x02" + pickle;
    const auto why = refusal_of(archive_of(records_));
    EXPECT_NE(why.find(words), std::string::npos) << words << ": " << why;
  }
}

TEST_F(Pickle, TensorsStayWithinTheirNumbers) {
  auto& numbers = records_.at("data/0");
  numbers.resize(numbers.size() - 4);
  EXPECT_NE(refusal_of(archive_of(records_)).find("not all numbers"), std::string::npos);
  records_.erase("data/0");
  EXPECT_NE(refusal_of(archive_of(records_)).find("it lacks"), std::string::npos);
}
}  // namespace
}  // namespace conv_mult
