#include "azoth/db.h"

#include <mutex>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/file.h"

namespace azoth {

// Made when it is first asked for, by whichever thread. It stays until the Db ends: who has got it may be using it
// while another thread closes the Db.
struct Db::ReadModels {
  std::mutex mutex;
  std::unique_ptr<Projector> projector;
  std::unique_ptr<Queries> queries;
  bool projector_closed = false;
  bool closed = false;

  // Without the mutex, and before the queries: handlers that are waited for may query.
  void close_projector() {
    Projector* closing = nullptr;
    {
      std::lock_guard lock(mutex);
      projector_closed = true;
      closing = projector.get();
    }
    if (closing != nullptr) closing->close();
  }
  void close() {
    close_projector();
    std::lock_guard lock(mutex);
    closed = true;
    if (queries) queries->close();
  }
};

Db::Db(std::unique_ptr<Store> store, const std::filesystem::path& directory)
    : directory_(resolved_path(directory)), store_(std::move(store)), read_models_(std::make_unique<ReadModels>()) {}
Db::Db(Db&&) noexcept = default;
Db& Db::operator=(Db&& other) noexcept {
  if (this == &other) return *this;
  if (read_models_) read_models_->close_projector();
  read_models_.reset();
  store_ = std::move(other.store_);
  read_models_ = std::move(other.read_models_);
  directory_ = std::move(other.directory_);
  return *this;
}
Db::~Db() {
  if (read_models_) read_models_->close_projector();
}

Projector& Db::projections() {
  std::lock_guard lock(read_models_->mutex);
  if (!read_models_->projector) {
    if (read_models_->projector_closed) throw Error(ErrorCode::Closed, "the store was closed; open it again");
    read_models_->projector = std::make_unique<Projector>(directory_, store_->event_source());
  }
  return *read_models_->projector;
}

Queries& Db::queries() {
  std::lock_guard lock(read_models_->mutex);
  if (read_models_->closed) throw Error(ErrorCode::Closed, "the store was closed; open it again to query it");
  if (!read_models_->queries) read_models_->queries = std::make_unique<Queries>(directory_);
  return *read_models_->queries;
}

VerifyReport Db::verify(const Progress& progress) {
  VerifyReport report = store_->verify(progress);
  if (!report.pages_whole) return report;
  const std::unique_ptr<EventSource> source = store_->event_source();
  for (const ProjectionInfo& info : inspect_projections(directory_, *source)) {
    if (info.problem && !info.unbelievable) {  // not all of it could be looked at
      report.notes.push_back("projection " + info.name + ": " + *info.problem);
      continue;
    }
    ++report.projections;
    if (!info.problem) continue;
    report.problems.push_back("projection " + info.name + ": " + *info.problem + "; rebuild it");
  }
  return report;
}

backup::BackupReport Db::backup(const std::filesystem::path& set_directory, const backup::BackupOptions& options) {
  Projector* projector = options.seal == backup::SealMode::None ? nullptr : &projections();
  return backup::back_up(*store_, directory_, projector, set_directory, options);
}

backup::RestoreReport Db::restore(const std::filesystem::path& set_directory,
                                  const std::filesystem::path& target_directory,
                                  const backup::RestoreOptions& options) {
  return backup::restore(set_directory, target_directory, options);
}

backup::SetReport Db::verify_backup(const std::filesystem::path& set_directory, const backup::VerifyOptions& options) {
  return backup::verify_set(set_directory, options);
}

std::vector<RetainedSet> Db::retained_sets(const std::filesystem::path& directory) {
  return Retention(directory).list();
}

bool Db::forget_set(const std::filesystem::path& directory, const Uuid& set_id) {
  return Retention(directory).forget(set_id);
}

void Db::close() {
  read_models_->close();
  store_->close();
}

Db Db::open(const std::filesystem::path& directory, const Options& options) {
  return {Store::open(directory, options), directory};
}

Db Db::open_read_only(const std::filesystem::path& directory, const Options& options) {
  return {Store::open_read_only(directory, options), directory};
}

Db Db::create(const std::filesystem::path& directory, const Options& options) {
  Store::create(directory, options);
  return open(directory, options);
}

RepairReport Db::repair(const std::filesystem::path& directory, const Options& options, const RepairOptions& repair) {
  return Store::repair(directory, options, repair);
}

Db Db::open_or_create(const std::filesystem::path& directory, const Options& options) {
  return Store::exists(directory) ? open(directory, options) : create(directory, options);
}

}  // namespace azoth
