#include "azoth/core/error.h"
#include "azoth/projection/declarations.h"
#include "generations.h"
#include "projection_file.h"
#include "worker.h"

namespace azoth {

namespace {

class Inspection {
 public:
  Inspection(const std::filesystem::path& directory, EventSource& source, Clock& clock, FileSystem& fs)
      : folder_(directory / "projections"), declarations_(directory, fs), source_(source), clock_(clock), fs_(fs) {}

  std::vector<ProjectionInfo> run() {
    std::vector<ProjectionInfo> all;
    for (const std::string& name : known_names(fs_, folder_)) all.push_back(look_at(name));
    return all;
  }

 private:
  ProjectionInfo look_at(const std::string& name) {
    ProjectionInfo info;
    info.name = name;
    info.declared = fs_.exists(declaration_path(folder_, name));
    const std::filesystem::path lock = writer_lock_path(folder_, name);
    if (LockFile::is_held(lock)) info.owner = LockFile::last_holder(lock);
    const std::optional<Projection> declaration = declared(info);
    std::optional<Cursor> shown;
    try {
      info.failure = noted_failure(fs_, folder_, name);
      if (auto generation = read_current_generation(fs_, folder_, name)) {
        shown = look_into(info, *generation, declaration);
      }
    } catch (const Error& error) {
      info.problem = error.what();
      info.unbelievable = !error.retryable() && error.code() != ErrorCode::OutOfMemory;  // which may pass
    }
    if (shown) compare_with_log(info, *shown);
    const Lag lag = lag_behind(source_, info.cursor, clock_.now());
    info.newest = lag.newest;
    info.lag = lag.events;
    info.lag_time = lag.time;
    return info;
  }

  // What is wrong with it does not hide the tables.
  std::optional<Projection> declared(ProjectionInfo& info) {
    if (!info.declared) return std::nullopt;
    try {
      std::optional<Projection> declaration = declarations_.load(info.name);
      info.version = declaration->version();
      return declaration;
    } catch (const Error& error) {
      info.declared = error.code() != ErrorCode::NotFound;  // else it was dropped meanwhile
      if (info.declared) info.problem = error.what();
      return std::nullopt;
    }
  }

  Cursor look_into(ProjectionInfo& info, const ReadGeneration& generation,
                   const std::optional<Projection>& declaration) {
    info.generation = generation.number;
    info.file = generation.file;
    ProjectionFile file(generation.file, Connection::Mode::Read);
    const Cursor cursor = file.cursor();
    info.version = file.version();
    info.cursor = cursor.event_id;
    info.dead_letters = file.dead_letter_count();
    if (declaration) info.rebuild = outdated(file, *declaration);
    if (!info.rebuild && info.owner && fs_.exists(generation_file(folder_, info.name, generation.number + 1)))
      info.rebuild = kAskedFor;
    return cursor;
  }

  // That the log cannot be looked at now is no problem of the projection.
  void compare_with_log(ProjectionInfo& info, const Cursor& cursor) {
    know_through(cursor.event_id, source_);
    try {
      if (auto problem = mismatch(cursor, source_)) {
        info.problem = std::move(problem);
        info.unbelievable = true;
      }
    } catch (const Error& error) {
      info.problem = error.what();
    }
  }

  const std::filesystem::path folder_;
  const Declarations declarations_;
  EventSource& source_;
  Clock& clock_;
  FileSystem& fs_;
};

ReadGeneration current_generation(FileSystem& fs, const std::filesystem::path& folder, std::string_view name) {
  if (auto generation = read_current_generation(fs, folder, name)) return *std::move(generation);
  throw Error(ErrorCode::NotFound, "the projection " + std::string(name) + " has no tables: it was never run");
}

}  // namespace

std::vector<ProjectionInfo> inspect_projections(const std::filesystem::path& directory, EventSource& source,
                                                Clock& clock, FileSystem& fs) {
  return Inspection(directory, source, clock, fs).run();
}

std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& directory, std::string_view name,
                                          FileSystem& fs) {
  const ReadGeneration generation = current_generation(fs, directory / "projections", name);
  return ProjectionFile(generation.file, Connection::Mode::Read).dead_letters();
}

void drop_dead_letters(const std::filesystem::path& directory, std::string_view name,
                       const std::vector<EventId>& events, FileSystem& fs) {
  const std::filesystem::path folder = directory / "projections";
  current_generation(fs, folder, name);  // before anything is made
  const Generations generations(fs, folder, std::string(name));
  ProjectionFile file(current_generation(fs, folder, name).file, Connection::Mode::Write);
  SqlTransaction transaction(file.connection());
  for (EventId event : events) {
    if (file.remove_dead_letter(event)) continue;
    throw Error(ErrorCode::NotFound, "projection " + std::string(name) + " has no dead letter of event " +
                                         std::to_string(event) + "; nothing was dropped");
  }
  transaction.commit();
}

}  // namespace azoth
