// Man page and bash completion, as the build made them, against --help.

#include <regex>
#include "executable.hpp"

namespace conv_mult {
namespace {
const std::string man_page_file = std::string(CONV_MULT_MANUAL_DIR) + "/conv_mult.1";

/// What `expression`, with one group, finds.
std::set<std::string> all_of(const std::string& text, const std::string& expression) {
  const std::regex regex(expression);
  return {std::sregex_token_iterator(text.begin(), text.end(), regex, 1), {}};
}

class Manual : public Executable {
 protected:
  std::string output_of(const std::string& arguments, const std::string& program = CONV_MULT_EXECUTABLE) const {
    const auto outcome = run(arguments, "", program);
    EXPECT_EQ(outcome.code, 0) << arguments << outcome.err;
    return outcome.out;
  }

  /// The names in the left column of --help, of the program and of merge.
  std::set<std::string> options_in_help() const {
    return all_of(output_of("--help") + output_of("merge --help"), "\n  (?:-h, ?)?(--[a-z0-9-]+)");
  }

  /// What bash offers for the last of the words, separated by '|', that follow the program's name; a line for each.
  std::string completions(const std::string& line) const {
    const std::string words = "conv_mult|" + line;
    const auto last = words.rfind('|');
    return output_of(
        R"(-c '. "$0"; cd "$1"; IFS="|" read -ra COMP_WORDS <<<"$2"; COMP_WORDS+=("$3"))"
        R"(; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _conv_mult; printf "%s\n" "${COMPREPLY[@]}"' ')" CONV_MULT_MANUAL_DIR
        "/conv_mult.bash' '" CONV_MULT_SOURCE_DIR "' '" +
            words.substr(0, last) + "' '" + words.substr(last + 1) + "'",
        "bash");
  }
};

TEST_F(Manual, TheManPageHasTheOptionsOfHelp) {
  const auto page = output_of("'s/\\\\-/-/g' '" + man_page_file + "'", "sed");
  const auto options = options_in_help();
  EXPECT_GT(options.size(), 30U);
  EXPECT_EQ(all_of(page, "\n(?:\\\\fB-h\\\\fR, )?\\\\fB(--[a-z0-9-]+)\\\\fR"), options);
  EXPECT_NE(page.find("\\fB--steps\\fR \\fIN\\fR\nNumber of updates. Allowed: a whole number from 0 to 100000000. "
                      "Default: 3000.\n"),
            std::string::npos);
  EXPECT_EQ(page.find("%OPTIONS%"), std::string::npos);
}

TEST_F(Manual, TheManPageIsRenderedWithoutAWarning) {
  if (std::system("command -v man >/dev/null") != 0) { GTEST_SKIP() << "no man on this machine"; }
  const std::string arguments = "--warnings -E UTF-8 -l -Tutf8 -Z '" + man_page_file + '\'';
  const auto outcome = run(arguments, "LC_ALL=C.UTF-8 MANROFFSEQ=", "man");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(Manual, BashCompletesOptionsValuesAndPaths) {
  EXPECT_EQ(completions("--vari"), "--variant\n");
  EXPECT_EQ(completions("m"), "merge\n");
  EXPECT_EQ(completions("--variant|n"), "nmu\nnalu\nnac-mul\nnpu\n");
  EXPECT_EQ(completions("--variant|exp,base"), "exp,baseline\n");
  EXPECT_EQ(completions("--dtype|=|float6"), "float64\n");
  EXPECT_EQ(completions("--dtype|="), "float32\nfloat64\n");
  EXPECT_EQ(completions("--device|"), "auto\ncpu\ncuda\n");
  EXPECT_EQ(completions("--steps|"), "\n");
  EXPECT_EQ(completions("--quiet|--dty"), "--dtype\n");
  EXPECT_EQ(completions("--config|READ"), "README.md\n");
  EXPECT_EQ(completions("merge|--"), "--help\n--out\n--figures\n--quiet\n");
  EXPECT_EQ(completions("rep"), "report\n");
  EXPECT_EQ(completions("merge|--figures|s"), "svg\n");
  for (const auto* line : {"--out|conf", "merge|conf", "merge|--out|conf", "report|conf"}) {
    EXPECT_EQ(completions(line), "configs\n") << line;
  }
  const auto offered = all_of('\n' + completions("--"), "\n(--[a-z0-9-]+)");
  for (const auto& option : options_in_help()) { EXPECT_EQ(offered.count(option), 1U) << option; }
}
}  // namespace
}  // namespace conv_mult
