// The archive is a zip of data.pkl and a record for each storage; the opcodes are those of Python's pickletools.

#include "util/pickle.hpp"
#include <ATen/Functions.h>
#include <zip.h>
#include "util/files.hpp"

namespace conv_mult {
namespace {
using c10::IValue;
using Values = std::vector<IValue>;
using Records = std::map<std::string, std::string>;

/// All of them together have no more bytes than the archive: torch.save compresses nothing.
Records records_of(const std::string& archive) {
  auto* source = zip_source_buffer_create(archive.data(), archive.size(), 0, nullptr);
  const std::shared_ptr<zip_t> zip(zip_open_from_source(source, ZIP_RDONLY, nullptr), zip_discard);
  if (!zip) { zip_source_free(source); }
  check(zip != nullptr, "it is no zip archive, as PyTorch writes them since 1.6, or not whole");
  Records records;
  zip_uint64_t left = archive.size();
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(zip_get_num_entries(zip.get(), 0)); ++i) {
    zip_stat_t entry;
    check(zip_stat_index(zip.get(), i, 0, &entry) == 0 && entry.size <= left, "it has a part larger than itself");
    left -= entry.size;
    std::string record(entry.size, '\0');
    char end = 0;  // where the checksum is looked at
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen_index(zip.get(), i, 0), zip_fclose);
    check(file && zip_fread(file.get(), record.data(), record.size()) == static_cast<zip_int64_t>(record.size()) &&
              zip_fread(file.get(), &end, 1) == 0,
          "the checksum of a part of it is not that of its content");
    records.emplace(entry.name, std::move(record));
  }
  return records;
}

/// On the stack is a value for each of Python's; a class is its name.
struct Unpickler {
  Records& records;
  std::string folder;
  std::string_view rest;  ///< of the pickle
  Values stack = {};
  std::vector<std::size_t> marks = {};
  std::map<std::size_t, IValue> memo = {};
  int containers = 0;

  IValue value() {
    for (;;) {
      const auto opcode = number<std::uint8_t>();
      switch (opcode) {
        case 0x80: check(text(1) == "\2", "it is in another protocol of pickle than PyTorch's own, 2"); break;
        case '.': return taken(1).front();
        case '(': marks.push_back(stack.size()); break;
        case 'N': push({}); break;
        case 0x88: push(true); break;
        case 0x89: push(false); break;
        case 'K': push(std::int64_t{number<std::uint8_t>()}); break;
        case 'M': push(std::int64_t{number<std::uint16_t>()}); break;
        case 'J': push(std::int64_t{number<std::int32_t>()}); break;
        case 'G': push(number<double>(true)); break;
        case 'X': push(text(number<std::uint32_t>())); break;
        case 'c': push(line()), push(taken(1).front().toStringRef() + '.' + line()); break;
        case 'q': memo[number<std::uint8_t>()] = top(); break;
        case 'r': memo[number<std::uint32_t>()] = top(); break;
        case 'h': push(memo.at(number<std::uint8_t>())); break;
        case 'j': push(memo.at(number<std::uint32_t>())); break;
        case ']': push(c10::impl::GenericList(c10::AnyType::get())); break;
        case '}': push(empty_dictionary()); break;
        case ')': push(c10::ivalue::Tuple::create(Values())); break;
        case 't': push(c10::ivalue::Tuple::create(since_mark())); break;
        case 0x85:
        case 0x86:
        case 0x87: push(c10::ivalue::Tuple::create(taken(opcode - 0x84U))); break;
        case 'a': append(taken(1)); break;
        case 'e': append(since_mark()); break;
        case 's': insert(taken(2)); break;
        case 'u': insert(since_mark()); break;
        case 'Q': push(storage(tuple(taken(1).front()))); break;
        case 'R': call(taken(2)); break;
        case 'b': taken(1); break;  // attributes of a dictionary
        default: check(false, fmt::format("it holds more than numbers, texts and tensors (opcode {:#x})", opcode));
      }
    }
  }

  static IValue empty_dictionary() { return c10::impl::GenericDict(c10::AnyType::get(), c10::AnyType::get()); }
  static Values tuple(const IValue& value) { return value.toTupleRef().elements().vec(); }
  static auto sizes(const IValue& value) { return c10::fmap(tuple(value), std::mem_fn(&IValue::toInt)); }

  std::string text(std::size_t size) {
    check(size <= rest.size(), "it ends too early");
    std::string text(rest.substr(0, size));
    rest.remove_prefix(size);
    return text;
  }

  std::string line() {
    auto line = text(rest.find('\n') + 1);
    return line.substr(0, line.size() - 1);
  }

  /// As it is in memory, where LibTorch is, too: the least significant byte first, or `reversed`.
  template <typename Number>
  Number number(bool reversed = false) {
    auto bytes = text(sizeof(Number));
    if (reversed) { std::reverse(bytes.begin(), bytes.end()); }
    Number number;
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }

  /// Of lists in lists in lists, the last would be destroyed in too deep a recursion.
  void push(IValue value) {
    constexpr int most_containers = 5000;
    containers += value.isTuple() || value.isList() || value.isGenericDict() ? 1 : 0;
    check(containers <= most_containers, "it holds more lists and dictionaries than a model has");
    stack.push_back(std::move(value));
  }

  IValue& top() {
    check(!stack.empty(), "it takes a value that is not there");
    return stack.back();
  }

  Values taken(std::size_t count) {
    check(count <= stack.size(), "it takes a value that is not there");
    const auto first = stack.end() - static_cast<std::ptrdiff_t>(count);
    Values values(first, stack.end());
    stack.erase(first, stack.end());
    return values;
  }

  Values since_mark() {
    check(!marks.empty() && marks.back() <= stack.size(), "it takes a value that is not there");
    const auto mark = marks.back();
    marks.pop_back();
    return taken(stack.size() - mark);
  }

  void append(const Values& values) {
    auto list = top().toList();
    for (const auto& value : values) { list.push_back(value); }
  }

  void insert(const Values& values) {
    auto dictionary = top().toGenericDict();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
      check(values[i].isString() || values[i].isInt(), "it has a key that is neither text nor number");
      dictionary.insert_or_assign(values[i], values[i + 1]);
    }
  }

  /// "storage", its class, its record, a device, how many numbers: a tensor of them.
  at::Tensor storage(const Values& id) {
    constexpr std::array types{at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kByte,
                               at::kChar,  at::kShort,  at::kInt,  at::kLong,     at::kBool};
    const auto& name = id.at(1).toStringRef();
    const auto is_named = [&](auto type) { return name == fmt::format("torch.{}Storage", c10::toString(type)); };
    const auto* type = std::find_if(types.begin(), types.end(), is_named);
    check(type != types.end(), fmt::format("it holds a {}, not of real numbers", name));
    auto& record = records.at(folder + "data/" + id.at(2).toStringRef());
    const auto count = record.size() / c10::elementSize(*type);
    check(id.at(4).toInt() == static_cast<std::int64_t>(count), "not all numbers of a tensor are there");
    return at::from_blob(record.data(), {id.at(4).toInt()}, *type).clone();
  }

  void call(const Values& name_and_arguments) {
    const auto& name = name_and_arguments[0].toStringRef();
    const auto arguments = tuple(name_and_arguments[1]);
    if (name == "collections.OrderedDict" && arguments.empty()) { return push(empty_dictionary()); }
    if (name == "torch._utils._rebuild_parameter") { return push(arguments.at(0)); }
    check(name == "torch._utils._rebuild_tensor_v2", fmt::format("it holds a {}, not only tensors", name));
    const auto& first = arguments.at(1);  // of the storage's numbers
    push(arguments.at(0).toTensor().as_strided(sizes(arguments.at(2)), sizes(arguments.at(3)), first.toInt()));
  }
};
}  // namespace

IValue unpickled(const std::string& archive) {
  auto records = records_of(archive);
  for (const auto& [path, record] : records) {
    const auto name = path.rfind('/') + 1;  // npos + 1 is 0
    if (path.substr(name) == "data.pkl") { return Unpickler{records, path.substr(0, name), record}.value(); }
  }
  throw std::runtime_error("it has no data.pkl");
}
}  // namespace conv_mult
