// A folder, a log and a counting projection: what most tests begin with.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/projection/projector.h"
#include "generations.h"
#include "memory_source.h"
#include "projection_file.h"
#include "support/seed.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth::test {

// Time that passes only when somebody waits for it.
class FakePacer : public Pacer {
 public:
  Deadline now() override { return now_; }
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, Deadline until,
            const std::function<bool()>&) override {
    waits.push_back(until - now_);
    now_ = until;
  }
  void pass(std::chrono::nanoseconds time) { now_ += time; }

  std::vector<std::chrono::nanoseconds> waits;

 private:
  Deadline now_{std::chrono::hours{1}};
};

class FakeClock : public Clock {
 public:
  Timestamp now() override { return time; }
  Timestamp time{std::chrono::seconds{1'700'000'100}};
};

// Of each payload: how often it was applied, and the last event. Counting shows an effect that is there twice.
inline Projection counting(std::uint32_t version = 1) {
  Projection projection("counts", version);
  projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL, last INTEGER NOT NULL)");
  projection.on("count", [](const EventView& event, Sql& sql) {
    sql.run("INSERT INTO counts VALUES (?1, 1, ?2) ON CONFLICT (what) DO UPDATE SET times = times + 1, last = ?2",
            event.payload(), static_cast<std::int64_t>(event.id()));
  });
  return projection;
}

class ProjectionTest : public testing::Test {
 protected:
  ~ProjectionTest() override { fault::disarm_all(); }

  void count(int events, const std::string& what = "a") {
    for (int i = 0; i < events; ++i) source_.append("count", what);
  }
  std::unique_ptr<Projector> projector() {
    return std::make_unique<Projector>(directory_.path(), source_,
                                       ProjectorOptions{.clock = &clock_, .pacer = &pacer_, .seed = 1});
  }
  std::unique_ptr<Projector> projector_with(Projection projection) {
    auto made = projector();
    made->add(std::move(projection));
    return made;
  }
  std::filesystem::path folder() const { return directory_.path() / "projections"; }

  // What a reader sees: the first column's text and the second's number.
  std::map<std::string, std::int64_t> rows(const std::string& query = "SELECT what, times FROM counts",
                                           const std::string& name = "counts") {
    std::map<std::string, std::int64_t> found;
    auto generation = read_current_generation(FileSystem::posix(), folder(), name);
    if (!generation) return found;
    Connection reader(generation->file, Connection::Mode::Read);
    SqlStatement row = reader.prepare(query);
    while (row.step()) found[std::string(row.text(0))] = row.int64(1);
    return found;
  }
  bool exists(const std::string& file) const { return std::filesystem::exists(folder() / file); }

  TempDir directory_;
  MemorySource source_;
  FakePacer pacer_;
  FakeClock clock_;
};

using Rows = std::map<std::string, std::int64_t>;

}  // namespace azoth::test
