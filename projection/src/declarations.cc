#include "azoth/projection/declarations.h"

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/projection/sql_projection.h"
#include "generations.h"

namespace azoth {

Declarations::Declarations(const std::filesystem::path& directory, FileSystem& fs)
    : directory_(directory), folder_(directory / "projections"), fs_(fs) {}

Projection Declarations::check(std::string_view text, const std::string& file) {
  if (text.size() > kMaxBytes) {
    throw Error(ErrorCode::InvalidArgument, file + ": a declaration has at most " + std::to_string(kMaxBytes) +
                                                " bytes, and this one " + std::to_string(text.size()));
  }
  return SqlProjection::from_text(text, file);
}

Declarations::Added Declarations::add(std::string_view text, const std::string& file) {
  const Projection projection = check(text, file);
  const std::filesystem::path path = declaration_path(folder_, projection.name());
  Added added{projection.name(), projection.version(), Change::New};
  if (fs_.exists(path)) {
    added.change = read_file(fs_, path, kMaxBytes) == text ? Change::Unchanged : Change::Replaced;
  }
  fs_.make_directory(folder_);
  fs_.sync_directory(directory_);
  if (added.change == Change::Unchanged) {  // the one that wrote it may have ended before its last sync
    fs_.sync_directory(folder_);
    return added;
  }
  AZOTH_FAULT("projection.declare");
  write_file_atomically(fs_, path, text);
  return added;
}

std::vector<std::string> Declarations::names() const {
  std::vector<std::string> declared;
  for (std::string& name : known_names(fs_, folder_)) {
    if (fs_.exists(declaration_path(folder_, name))) declared.push_back(std::move(name));
  }
  return declared;
}

Projection Declarations::load(std::string_view name) const {
  const std::filesystem::path path = declaration_path(folder_, name);
  if (!Projection::is_name(name) || !fs_.exists(path)) {
    throw Error(ErrorCode::NotFound, "no projection " + printable(name) + " is declared here");
  }
  Projection projection = SqlProjection::from_text(read_file(fs_, path, kMaxBytes), path.string());
  if (projection.name() == name) return projection;
  throw Error(ErrorCode::InvalidArgument, path.string() + " declares a projection " + projection.name() +
                                              "; add its declaration again, or drop it");
}

void Declarations::drop(std::string_view name) {
  if (projection_files(fs_, folder_, name).empty()) {
    throw Error(ErrorCode::NotFound, "there is no projection " + printable(name) + " here");
  }
  Generations(fs_, folder_, std::string(name)).remove_all();
}

}  // namespace azoth
