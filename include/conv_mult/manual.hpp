#pragma once

#include <string>

namespace CLI {
class App;
}

namespace conv_mult {

// What --help says, in the forms that a package installs: made from the same options, so that there is no
// second list of them. `merge` is the subcommand, which has options of its own.

/// conv_mult.1, in troff.
std::string man_page(CLI::App& app, CLI::App& merge);

/// For bash: names of options, and their values where the definitions know them: the name of an option's
/// first validator lists them, "FILE" and "DIR" as placeholders say that they are paths.
std::string bash_completion(CLI::App& app, CLI::App& merge);

}  // namespace conv_mult
