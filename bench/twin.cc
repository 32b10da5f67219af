#include "twin.h"

#include <chrono>

namespace azoth::bench {

namespace {

Db filled(const std::filesystem::path& store, const std::filesystem::path& copy, const Options& options,
          const std::function<void(Db&)>& fill) {
  {
    Db db = Db::create(store, options);
    fill(db);
    db.close();
  }
  std::filesystem::copy_file(store / "canonical" / "data.mdb", copy / "data.mdb");
  return Db::open(store, options);
}

}  // namespace

Twin::Twin(const std::filesystem::path& store, const std::filesystem::path& copy, const Options& options,
           const std::function<void(Db&)>& fill)
    : db_(filled(store, copy, options, fill)), lmdb_(copy, MDB_RDONLY | MDB_NOTLS) {}

Sample read_for(double seconds, const std::function<std::uint64_t()>& step) {
  using Clock = std::chrono::steady_clock;
  Sample sample;
  step();  // what is read first pays for what is not in the caches
  auto from = Clock::now();
  do {
    sample.operations += step();
    sample.seconds = std::chrono::duration<double>(Clock::now() - from).count();
  } while (sample.seconds < seconds);
  return sample;
}

Contest twin_contest(const TwinReaders& readers, Scratch& scratch, const Options& options,
                     const std::function<void(Db&)>& fill, const std::function<void(Db&)>& after_copy) {
  auto twin = std::make_shared<std::unique_ptr<Twin>>();
  std::filesystem::path store = scratch.make("azoth");
  std::filesystem::path copy = scratch.make("lmdb");
  Contestant azoth{.system = "azoth", .durability = "-", .play = [twin, play = readers.azoth](unsigned round) {
                     return play(**twin, round);
                   }};
  azoth.open = [=] {
    *twin = std::make_unique<Twin>(store, copy, options, fill);
    if (after_copy) after_copy((*twin)->db());
  };
  azoth.close = [=] {
    twin->reset();
    std::filesystem::remove_all(store);
    std::filesystem::remove_all(copy);
  };
  Contestant lmdb{.system = readers.reference, .durability = "-", .play = [twin, play = readers.lmdb](unsigned round) {
                    return play(**twin, round);
                  }};
  lmdb.at_least = readers.at_least;
  return {readers.workload, {azoth, lmdb}, readers.unit};
}

}  // namespace azoth::bench
