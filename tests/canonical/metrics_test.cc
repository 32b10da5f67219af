// What a store tells of itself: metrics, and the parts of status that need something to happen first.
#include "azoth/canonical/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <thread>

#include "histogram.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::code_of;
using test::put;
using test::set_of;
using test::submit;
using test::TestStore;

class MetricsTest : public test::WritePath {};

std::map<std::string, Metric> by_name(const Store& store) {
  std::map<std::string, Metric> metrics;
  store.metrics([&](const Metric& metric) {
    std::string name(metric.name);
    if (!metric.labels.empty()) name += "{" + std::string(metric.labels) + "}";
    EXPECT_TRUE(metrics.emplace(name, metric).second) << name << " is there twice";
  });
  return metrics;
}

TEST(Histogram, CountsEachValueInTheFirstBucketThatIsNotBelowIt) {
  Histogram histogram;
  for (std::uint64_t value : {0, 1, 2, 3, 4, 5, 1000}) histogram.record(value);
  Metric metric{};
  histogram.show(metric, 2.0);
  ASSERT_EQ(metric.buckets.size(), 11u);
  EXPECT_EQ(metric.buckets[0].upper, 2.0);
  EXPECT_EQ(metric.buckets[0].count, 2u);
  EXPECT_EQ(metric.buckets[1].count, 3u);
  EXPECT_EQ(metric.buckets[2].count, 5u);
  EXPECT_EQ(metric.buckets[3].count, 6u);
  EXPECT_EQ(metric.buckets[9].count, 6u);
  EXPECT_EQ(metric.buckets[10].upper, 2048.0);
  EXPECT_EQ(metric.buckets[10].count, 7u);
  EXPECT_EQ(metric.count, 7u);
  EXPECT_EQ(metric.sum, 2.0 * 1015);
}

TEST(Histogram, ShowsTheSmallestBucketsAsOneWhereTheyAreOfNoInterest) {
  Histogram histogram;
  for (std::uint64_t value : {1, 900, 1500}) histogram.record(value);
  Metric metric{};
  histogram.show(metric, 1, 10);
  ASSERT_EQ(metric.buckets.size(), 2u);
  EXPECT_EQ(metric.buckets[0].upper, 1024);
  EXPECT_EQ(metric.buckets[0].count, 2u);
  EXPECT_EQ(metric.buckets[1].count, 3u);
}

TEST_F(MetricsTest, CountWhatWasDone) {
  TestStore store;
  for (int i = 0; i < 5; ++i) put(*store, "key", "value");
  submit(*store, set_of("key"), Durability::Durable).wait();
  std::vector<Condition> absent = {Condition::key_absent("key")};
  EXPECT_FALSE(store->submit(set_of("key"), absent));
  store->checkpoint();
  submit(*store, set_of("large", std::string(600'000, 'x')), Durability::Durable).wait();
  auto metrics = by_name(*store);
  EXPECT_EQ(metrics.at("azoth_commits_total").value, 7);
  EXPECT_EQ(metrics.at("azoth_rejections_total").value, 1);
  EXPECT_EQ(metrics.at("azoth_commit_seq{level=\"durable\"}").value, 7);
  EXPECT_EQ(metrics.at("azoth_commit_seq{level=\"flushed\"}").value, 7);
  EXPECT_EQ(metrics.at("azoth_state_keys").value, 2);
  EXPECT_EQ(metrics.at("azoth_wait_seconds{level=\"written\"}").count,
            6u);  // and that of the bulk transaction for the journal
  EXPECT_EQ(metrics.at("azoth_wait_seconds{level=\"durable\"}").count, 1u);
  EXPECT_EQ(metrics.at("azoth_journal_sync_seconds").count, store->status().syncs);
  EXPECT_GT(metrics.at("azoth_journal_sync_seconds").sum, 0);
  EXPECT_EQ(metrics.at("azoth_batch_commits").count, store->status().batches);
  EXPECT_EQ(metrics.at("azoth_flush_seconds").count, 1u);
  EXPECT_EQ(metrics.at("azoth_bulk_commit_seconds").count, 1u);
  EXPECT_GT(metrics.at("azoth_journal_written_bytes_total").value, 7 * 64);
  EXPECT_EQ(metrics.at("azoth_failed").value, 0);
}

TEST_F(MetricsTest, TellOfWritersThatAreHeldUp) {
  Options options = test::quiet_options();
  options.delta_bytes = limits::kMinDeltaBytes;
  TestStore store(options);
  {
    test::LmdbIsFull full;
    SubmitOptions hurried{.level = Durability::Applied, .timeout = milliseconds{5}};
    ErrorCode code{};
    for (int i = 0; i < 1000 && code == ErrorCode{}; ++i) {
      code = code_of([&] { return store->submit(set_of("key", std::string(4000, 'x')), {}, hurried); });
    }
    EXPECT_EQ(code, ErrorCode::Backpressure);
  }
  auto metrics = by_name(*store);
  // On a slow disk the journal's room may be what it waited for.
  const Metric& memory = metrics.at("azoth_backpressure_seconds{reason=\"memory\"}");
  const Metric& journal = metrics.at("azoth_backpressure_seconds{reason=\"journal\"}");
  EXPECT_GE(memory.count + journal.count, 1u);
  EXPECT_GT(memory.sum + journal.sum, 0);
}

TEST_F(MetricsTest, TellOfSealPausesAndFailure) {
  TestStore store;
  {
    Pause pause = store->pause("backup");
    EXPECT_EQ(by_name(*store).at("azoth_paused").value, 1);
  }
  store->seal();
  EXPECT_EQ(by_name(*store).at("azoth_sealed").value, 1);
  store->unseal();
  fault::Armed broken("journal.write", {.fail_with = EIO, .times = 1});
  EXPECT_EQ(code_of([&] { return put(*store, "key", "value"); }), ErrorCode::StoreFailed);
  auto metrics = by_name(*store);
  EXPECT_EQ(metrics.at("azoth_failed").value, 1);
  EXPECT_EQ(metrics.at("azoth_sealed").value, 0);
}

// Each line is a comment or `name{labels} number`, buckets ascend, and each name has one HELP and one TYPE before it.
TEST_F(MetricsTest, AsTextAreWhatPrometheusReads) {
  TestStore store;
  for (int i = 0; i < 20; ++i) submit(*store, set_of("key"), static_cast<Durability>(1 + i % 3)).wait();
  std::vector<Metric> metrics = store->metrics();
  std::istringstream text(prometheus_text(metrics));
  std::regex sample(R"(([a-z_]+)(\{([a-z]+="[^"]+"(,)?)+\})? (-?[0-9.e+-]+))");
  std::regex comment("# (HELP|TYPE) ([a-z_]+) .+");
  std::map<std::string, int> described;
  std::string line;
  std::string current;
  int samples = 0;
  while (std::getline(text, line)) {
    std::smatch match;
    if (std::regex_match(line, match, comment)) {
      current = match[2];
      ++described[current + " " + match[1].str()];
      continue;
    }
    ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
    EXPECT_EQ(match[1].str().substr(0, current.size()), current) << line;
    EXPECT_TRUE(current.starts_with("azoth_"));
    ++samples;
  }
  EXPECT_GT(samples, 30);
  for (const auto& [what, times] : described) EXPECT_EQ(times, 1) << what;
}

TEST_F(MetricsTest, AStoreThatOnlyReadsHasThoseOfItsStatus) {
  TestStore store;
  put(*store, "key", "value");
  store.close();
  std::unique_ptr<Store> reader = Store::open_read_only(store.directory(), store.options());
  auto metrics = by_name(*reader);
  EXPECT_EQ(metrics.at("azoth_commit_seq{level=\"durable\"}").value, 1);
  EXPECT_FALSE(metrics.contains("azoth_commits_total"));
}

// --- Status

class StatusTest : public test::WritePath {};

TEST_F(StatusTest, KnowsTheOldestSnapshotAndWhatItKeepsAlive) {
  TestStore store;
  EXPECT_EQ(store->status().oldest_reader_age, milliseconds{0});
  put(*store, "key", std::string(100'000, 'x'));
  {
    ReadTxn old = store->read();
    milliseconds age{0};
    test::await([&] { return (age = store->status().oldest_reader_age) >= milliseconds{30}; });
    ReadTxn young = store->read();
    EXPECT_GE(store->status().oldest_reader_age, age);
    EXPECT_EQ(store->status().pinned_delta_bytes, 0u) << "it is not flushed yet";
    store->checkpoint();
    Status status = store->status();
    EXPECT_GE(status.pinned_delta_bytes, 100'000u);
    EXPECT_LT(status.delta_bytes, 100'000u);
    EXPECT_EQ(status.readers, 2u);
    EXPECT_EQ(old.get("key"), std::string(100'000, 'x'));
  }
  Status status = store->status();
  EXPECT_EQ(status.pinned_delta_bytes, 0u);
  EXPECT_EQ(status.readers, 0u);
  EXPECT_EQ(status.oldest_reader_age, milliseconds{0});
}

// A snapshot that is held for long: LMDB grows, and status says why.
TEST_F(StatusTest, SaysHowFarTheOldestSnapshotHoldsLmdbBack) {
  TestStore store;
  std::string value(50'000, 'x');
  for (int i = 0; i < 5; ++i) {
    put(*store, "key", value);
    store->checkpoint();
  }
  std::uint64_t used_before = store->status().map_used_bytes;
  {
    ReadTxn old = store->read();
    for (int i = 0; i < 20; ++i) {
      put(*store, "key", value);
      store->checkpoint();
    }
    Status status = store->status();
    EXPECT_EQ(status.all_readers, 1u);
    EXPECT_EQ(status.oldest_reader_lag, 20u);
    EXPECT_GT(status.map_used_bytes, used_before + 15 * value.size()) << "what it sees was reused";
    EXPECT_EQ(old.get("key"), value);
  }
  EXPECT_EQ(store->status().all_readers, 0u);
  for (int i = 0; i < 4; ++i) {
    put(*store, "key", value);
    store->checkpoint();
  }
  EXPECT_LT(store->status().map_used_bytes, used_before + 5 * value.size()) << "its pages are free again";
}

TEST_F(StatusTest, NamesTheSoftLimit) {
  TestStore store;
  Status status = store->status();
  EXPECT_EQ(status.map_soft_limit_bytes, status.map_bytes / 10 * 9);
  EXPECT_LT(status.map_used_bytes, status.map_soft_limit_bytes);
}

}  // namespace
}  // namespace azoth
