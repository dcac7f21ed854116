#pragma once

#include <string>

#include "conv_mult/results.hpp"

namespace conv_mult {

/// loss.csv: `variant,seed,step,loss`, every `log_every`-th step and each run's last one.
std::string loss_csv(const ExperimentResult& result, std::int64_t log_every);

/// summary.json: a value that does not exist is null, never 0 or NaN.
std::string summary_json(const ExperimentResult& result);

/// The table on stdout: a row per variant, with the floor and the gap to it.
std::string result_table(const ExperimentResult& result);

}  // namespace conv_mult
