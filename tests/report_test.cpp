// The page that a run writes, as far as it can be judged without a browser; scripts/page has one.

#include "executable.hpp"

namespace conv_mult {
namespace {
class Report : public Executable {
 protected:
  std::string page(const std::string& out) const { return read(folder_ / out / "report.html"); }

  /// What the page shows, and that nothing in it ends its script early.
  nlohmann::json data(const std::string& out) const {
    const auto text = page(out);
    const std::string begin = "<script id=\"data\" type=\"application/json\">";
    const auto at = text.find(begin);
    const auto end = text.find('<', at + begin.size());
    EXPECT_EQ(text.substr(end, 9), "</script>");
    return nlohmann::json::parse(text.substr(at + begin.size(), end - at - begin.size()));
  }
};

TEST_F(Report, HoldsTheSummaryTheTableAndTheFigures) {
  ASSERT_EQ(run("--variant baseline,exp --size 20 --steps 50 --seeds 3 --figures svg --out r").code, 0);
  const auto shown = data("r");
  EXPECT_EQ(shown["summary"], summary_of("r"));
  EXPECT_EQ(shown["settings"], read(folder_ / "r/config.toml"));
  ASSERT_EQ(shown["rows"].size(), 2U);
  EXPECT_EQ(shown["rows"][0]["name"], "baseline");
  EXPECT_EQ(shown["rows"][1]["formula"], "exp(Σ w x + c)");
  // The cells are those of the terminal.
  const auto table = read(folder_ / "stdout");
  for (const auto& cell : shown["rows"][1]["cells"]) {
    EXPECT_NE(table.find(cell[1].get<std::string>()), std::string::npos) << cell;
  }
  for (const auto* name : {"loss", "panel", "heldout", "distribution", "kernels"}) {
    EXPECT_EQ(shown["figures"][name], read(folder_ / "r" / (std::string(name) + ".svg"))) << name;
  }
  EXPECT_EQ(shown["figures"].size(), 5U);
  ASSERT_EQ(run("merge r --figures none --out merged").code, 0);
  EXPECT_EQ(data("merged")["summary"], summary_of("merged"));
}

TEST_F(Report, NoNameIsMarkupAndOtherLettersStay) {
  ASSERT_EQ(run(std::string(small) + "--out '<b>/script><!--&amp;곱셈'").code, 0);
  const auto settings = data("<b>/script><!--&amp;곱셈")["settings"].get<std::string>();
  EXPECT_NE(settings.find("out=\"<b>/script><!--&amp;곱셈\""), std::string::npos) << settings;
}

TEST_F(Report, IsLeftOutOnRequestAndRemovedByTheNextRun) {
  ASSERT_EQ(run(std::string(small) + "--out r").code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "r/report.html"));
  const auto outcome = run(std::string(small) + "--seed 1 --no-report --out r");
  ASSERT_EQ(outcome.code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "r/report.html"));
  EXPECT_EQ(outcome.err.substr(outcome.err.rfind("conv_mult: ")), "conv_mult: figures and tables are in 'r'\n");
}

/// Every file below the folder but the page, by its path there.
std::map<std::string, std::string> others(const fs::path& folder) {
  auto files = files_in(folder);
  files.erase("report.html");
  return files;
}

TEST_F(Report, IsMadeAgainOfAFolderThatStaysAsItIs) {
  const std::string settings = "--size 20 --steps 50 --seeds 3 --figures svg --require-ratio 1e-9 --save-model ";
  ASSERT_EQ(run(settings + "--no-report --out r").code, 3);
  EXPECT_FALSE(fs::exists(folder_ / "r/report.html"));
  const auto before = others(folder_ / "r");
  fs::remove(folder_ / "r/loss.svg");
  const auto outcome = run("report .", "cd r;");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "conv_mult: the page is report.html in '.'\n");
  EXPECT_TRUE(others(folder_ / "r") == before);
  const auto made = page("r");
  EXPECT_EQ(data("r")["summary"], nlohmann::json::parse(before.at("summary.json")));
  ASSERT_EQ(run("report r", "env PATH=/usr/sbin").code, 0);  // where there is no gnuplot, what is there stays
  EXPECT_TRUE(others(folder_ / "r") == before);
  EXPECT_EQ(page("r"), made);
  fs::rename(folder_ / "r", folder_ / "-r,1");
  EXPECT_EQ(run("report -r,1").code, 0);
  EXPECT_TRUE(others(folder_ / "-r,1") == before);
}

TEST_F(Report, OfWhatIsNoResultIsRefused) {
  for (const auto* arguments : {"report", "report r r", "report missing", "report --help"}) {
    EXPECT_EQ(run(arguments).code, 2) << arguments;
  }
  ASSERT_EQ(run(std::string(small) + "--out r").code, 0);
  fs::remove(folder_ / "r/summary.json");
  const auto before = others(folder_ / "r");
  const auto outcome = run("report r");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("r/summary.json"), std::string::npos) << outcome.err;
  EXPECT_TRUE(others(folder_ / "r") == before);
}

TEST_F(Report, TellsWhatAnInterruptedRunHasAndTrainsNoMore) {
  do {
    fs::remove_all(folder_ / "r");
    Process process(folder_, "--data literal --size 600 --steps 150 --seeds 999 --threads 1 --figures none --out r");
    process.wait_for_lines("r/runs.csv", 1);  // the first seed has ended: one is a block
    ASSERT_EQ(process.end(SIGINT).code, 130);
  } while (read(folder_ / "r/runs.csv").find(",interrupted,") == std::string::npos);  // the second had not begun
  const auto finished = data("r");
  EXPECT_EQ(finished["summary"]["status"], "interrupted");
  EXPECT_GT(finished["summary"]["variants"][0]["success"]["of"].get<int>(), 0);
  const auto before = others(folder_ / "r");
  const auto outcome = run("report r");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(others(folder_ / "r") == before);
  EXPECT_EQ(data("r"), finished);
}
}  // namespace
}  // namespace conv_mult
