#include "azoth/core/error.h"
#include "generations.h"
#include "projection_file.h"

namespace azoth {

namespace {

void read_file_of(ProjectionInfo& info, const ReadGeneration& generation, EventSource& source, Timestamp now) {
  info.generation = generation.number;
  info.file = generation.file;
  ProjectionFile file(generation.file, Connection::Mode::Read);
  const Cursor cursor = file.cursor();
  info.version = file.version();
  info.cursor = cursor.event_id;
  info.dead_letters = file.dead_letter_count();
  info.problem = mismatch(cursor, source);
  const Lag lag = lag_behind(source, cursor.event_id, now);
  info.newest = lag.newest;
  info.lag = lag.events;
  info.lag_time = lag.time;
}

}  // namespace

std::vector<ProjectionInfo> inspect_projections(const std::filesystem::path& directory, EventSource& source,
                                                Clock& clock, FileSystem& fs) {
  const std::filesystem::path folder = directory / "projections";
  std::vector<ProjectionInfo> all;
  for (const std::string& name : projection_names(fs, folder)) {
    ProjectionInfo info;
    info.name = name;
    const std::filesystem::path lock = writer_lock_path(folder, name);
    if (LockFile::is_held(lock)) info.owner = LockFile::last_holder(lock);
    try {
      if (auto generation = read_current_generation(fs, folder, name))
        read_file_of(info, *generation, source, clock.now());
    } catch (const Error& error) {
      info.problem = error.what();
    }
    all.push_back(std::move(info));
  }
  return all;
}

}  // namespace azoth
