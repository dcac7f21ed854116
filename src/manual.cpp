#include "conv_mult/manual.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <vector>

namespace conv_mult {
namespace {

/// "-h" and "--help"; none for what is told by its place.
std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) {
    names.push_back("-" + name);
  }
  for (const auto& name : option.get_lnames()) {
    names.push_back("--" + name);
  }
  return names;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// Text as troff shows it: as it is.
std::string literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  const bool looks_like_request = !escaped.empty() && (escaped[0] == '.' || escaped[0] == '\'');
  return looks_like_request ? "\\&" + escaped : escaped;
}

std::string man_entry(const CLI::Option& option) {
  std::string head;
  for (const auto& name : names_of(option)) {
    head += fmt::format("{}\\fB{}\\fR", head.empty() ? "" : ", ", literal(name));
  }
  if (takes_value(option)) {
    const bool nameless = head.empty();
    head += fmt::format("{}\\fI{}\\fR", nameless ? "" : " ",
                        literal(nameless ? option.get_name() + "..." : option.get_type_name()));
  }
  std::string by_default = option.get_default_str();
  if (!by_default.empty() && by_default.front() == '[') {
    by_default = by_default.substr(1, by_default.size() - 2);
  }
  return fmt::format(".TP\n{}\n{}.{}\n", head, literal(option.get_description()),
                     by_default.empty() ? "" : fmt::format(" Default: {}.", literal(by_default)));
}

/// What completes the value of `option`, in words of the shell; nothing where it could be anything.
std::string completion_of(CLI::Option& option) {
  const std::string placeholder = option.get_type_name();
  if (placeholder == "DIR" || placeholder == "FILE") {
    return placeholder == "DIR" ? "paths=-d" : "paths=-f";
  }
  try {
    std::string known = option.get_validator(0)->get_name();
    std::replace(known.begin(), known.end(), ',', ' ');
    return known.empty() ? known : fmt::format("words='{}'", known);
  } catch (const CLI::OptionNotFound&) {  // CLI11's word for an option without validators
    return "";
  }
}

/// The cases of the word before the one to complete.
std::string completion_cases(CLI::App& app, const std::string& command) {
  std::string lines;
  std::vector<std::string> all;
  std::vector<std::string> unknown;
  for (auto* option : app.get_options()) {
    const auto names = names_of(*option);
    if (names.empty() || option->get_group().empty()) {
      continue;
    }
    all.insert(all.end(), names.begin(), names.end());
    const auto pattern = fmt::format("'{}{}'", command, names.back());
    if (!takes_value(*option)) {
      continue;
    }
    if (const auto completion = completion_of(*option); completion.empty()) {
      unknown.push_back(pattern);
    } else {
      lines += fmt::format("    {}) {} ;;\n", pattern, completion);
    }
  }
  return lines + fmt::format("    {}) return ;;\n    '{}'*) words='{}' ;;\n", fmt::join(unknown, " | "),
                             command, fmt::join(all, " "));
}

}  // namespace

std::string man_page(CLI::App& app, CLI::App& merge) {
  std::string page = fmt::format(
      R"(.TH CONV_MULT 1 "" "conv_mult {}" "User Commands"
.SH NAME
conv_mult \- train layers to multiply two of their input channels
.SH SYNOPSIS
.B conv_mult
.RI [ OPTION ]...
.br
.B conv_mult merge
.IR DIR ...
.B \-\-out
.I DIR
.RI [ OPTION ]...
.SH DESCRIPTION
{}
.PP
Trains each variant from each seed, prints a table of what they reached beside the best that any weights could,
and writes tables, figures and the resolved configuration into a folder.
.SH OPTIONS
)",
      CONV_MULT_VERSION, literal(app.get_description()));
  for (const auto& group : app.get_groups()) {
    if (group.empty()) {
      continue;  // hidden
    }
    page += fmt::format(".SS {}\n", group == "Options" ? "General" : group);
    for (const auto* option : app.get_options([&](const auto* each) { return each->get_group() == group; })) {
      page += man_entry(*option);
    }
  }
  page += fmt::format(".SH CONV_MULT MERGE\n{}\n", literal(merge.get_description()));
  for (const auto* option : merge.get_options()) {
    page += man_entry(*option);
  }
  return page + R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Failed while running: files, memory, device.
.TP
.B 2
Wrong usage or configuration.
.TP
.B 3
.B \-\-require\-ratio
is not met.
.TP
.BR 130 ", " 143
Interrupted; what was done up to then is written.
.SH EXAMPLES
.TP
.B conv_mult \-\-variant exp \-\-seeds 1000
How many of a thousand seeds learn the product?
.TP
.B conv_mult \-\-config results/config.toml \-\-out again
The same run once more, bit for bit on one thread.
.SH SEE ALSO
.BR gnuplot (1),
which draws the figures.)";
}

std::string bash_completion(CLI::App& app, CLI::App& merge) {
  return fmt::format(
      R"(# bash completion of conv_mult {}, made from its options
_conv_mult() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command='' words='' paths='' begin=''
  if [ "$cur" = = ]; then  # --name=value arrives as three words
    cur=''
  elif [ "$prev" = = ]; then
    prev=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  if [ "$COMP_CWORD" -gt 1 ] && [ "${{COMP_WORDS[1]}}" = merge ]; then
    command='merge '
  fi
  case $command$prev in
{}{}  esac
  if [ -n "$command" ] && [[ $words == -* && $cur != -* ]]; then
    words='' paths=-d
  elif [[ $words == -* && $COMP_CWORD -eq 1 ]]; then
    words+=' merge'
  fi
  if [ -n "$paths" ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$paths" -- "$cur")
  else
    [[ $cur != *,* ]] || begin=${{cur%,*}},
    mapfile -t COMPREPLY < <(compgen -P "$begin" -W "$words" -- "${{cur##*,}}")
  fi
}}
complete -F _conv_mult conv_mult)",
      CONV_MULT_VERSION, completion_cases(merge, "merge "), completion_cases(app, ""));
}

}  // namespace conv_mult
