#include "azoth/projection/projection_copy.h"

#include <algorithm>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/projection/declarations.h"
#include "generations.h"
#include "projection_file.h"

namespace azoth {

namespace {

using Path = std::filesystem::path;

// What a copy and an installation have before it counts. No projection's file begins like this.
constexpr std::string_view kCopyStart = ".copy.";
constexpr std::string_view kInstallStart = ".install.";
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

Path folder_of(const Path& directory) { return directory / "projections"; }

// It may be gone: others remove what they take for a remainder.
void remove_if_there(FileSystem& fs, const Path& path) {
  try {
    fs.remove(path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
  }
}

void remove_starting_with(FileSystem& fs, const Path& folder, std::string_view start) {
  for (const std::string& file : fs.list(folder)) {
    if (file.starts_with(start)) remove_if_there(fs, folder / file);
  }
}

// A declaration, or tables that can be read.
bool counts(FileSystem& fs, const Path& folder, std::string_view name) {
  return fs.exists(declaration_path(folder, name)) || fs.exists(folder / std::string(name));
}

// An empty file, the owner's only, which no longer has a name when anything is written to it.
std::unique_ptr<File> make_nameless(FileSystem& fs, const Path& folder) {
  const Path path = folder / (std::string(kCopyStart) + Uuid::random().text());
  std::unique_ptr<File> file = fs.open(path, FileSystem::Mode::Create);
  remove_if_there(fs, path);
  return file;
}

void describe(ProjectionParts& parts, ProjectionFile& file) {
  parts.tables = true;
  parts.cursor = file.cursor().event_id;
  parts.version = file.version();
  parts.fingerprint = file.fingerprint();
}

void refuse_another(FileSystem& fs, const Path& folder, const std::string& name) {
  if (!counts(fs, folder, name)) return;
  throw Error(ErrorCode::AlreadyExists, "there is a projection " + name + " already; drop it first");
}

// A declaration that declares what it should.
void check_declaration(const ProjectionParts& parts, const std::string& file) {
  const std::string declared = Declarations::check(parts.declaration, file).name();
  if (declared == parts.name) return;
  throw Error(ErrorCode::InvalidArgument, file + " declares a projection " + declared + ", not " + parts.name);
}

[[noreturn]] void damaged(const Path& path, const std::string& why) {
  throw Error(ErrorCode::Corruption, path.string() + " is damaged: " + why);
}

}  // namespace

// --- ProjectionCopy

struct ProjectionCopy::Impl {
  void read_declaration(const Path& folder, FileSystem& fs);
  void copy_tables(const Path& folder, const ReadGeneration& generation, FileSystem& fs);

  ProjectionParts parts;
  std::unique_ptr<File> file;
  std::uint64_t bytes = 0;
};

// Another process may drop it meanwhile. One that cannot be installed is refused here, where it can still be mended.
void ProjectionCopy::Impl::read_declaration(const Path& folder, FileSystem& fs) {
  const Path path = declaration_path(folder, parts.name);
  try {
    parts.declaration = read_file(fs, path, Declarations::kMaxBytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
    return;
  }
  check_declaration(parts, path.string());
}

void ProjectionCopy::Impl::copy_tables(const Path& folder, const ReadGeneration& generation, FileSystem& fs) {
  for (std::string_view start : {kCopyStart, kInstallStart}) remove_starting_with(fs, folder, start);
  if (!fs.exists(generation.file)) damaged(generation.file, "it is gone");
  file = make_nameless(fs, folder);
  Connection(generation.file, Connection::Mode::Read).copy_to(*file);
  ProjectionFile copied(*file, generation.file);
  if (copied.name() != parts.name) damaged(generation.file, "it is that of projection " + printable(copied.name()));
  describe(parts, copied);
  bytes = file->size();
}

std::vector<std::string> ProjectionCopy::names(const Path& directory, FileSystem& fs) {
  const Path folder = folder_of(directory);
  std::vector<std::string> names = known_names(fs, folder);
  std::erase_if(names, [&](const std::string& name) { return !counts(fs, folder, name); });
  return names;
}

ProjectionCopy::ProjectionCopy(const Path& directory, std::string_view name, bool tables, FileSystem& fs)
    : impl_(std::make_unique<Impl>()) {
  Projection::check_name(name);
  const Path folder = folder_of(directory);
  if (!counts(fs, folder, name)) {
    throw Error(ErrorCode::NotFound, "there is no projection " + std::string(name) + " here");
  }
  impl_->parts.name = name;
  impl_->read_declaration(folder, fs);
  if (!tables) return;
  if (auto generation = read_current_generation(fs, folder, name)) impl_->copy_tables(folder, *generation, fs);
}

ProjectionCopy::~ProjectionCopy() = default;
ProjectionCopy::ProjectionCopy(ProjectionCopy&&) noexcept = default;

const ProjectionParts& ProjectionCopy::parts() const { return impl_->parts; }

std::uint64_t ProjectionCopy::bytes() const { return impl_->bytes; }

void ProjectionCopy::read(const std::function<void(std::string_view bytes)>& each) const {
  std::string piece(kPieceBytes, '\0');
  for (std::uint64_t at = 0; at < impl_->bytes;) {
    const std::size_t got = impl_->file->read_at(at, piece.data(), piece.size());
    if (got == 0) throw Error(ErrorCode::Io, "the copy of projection " + impl_->parts.name + " has become shorter");
    each(std::string_view(piece).substr(0, got));
    at += got;
  }
}

// --- ProjectionInstall

struct ProjectionInstall::Impl {
  Impl(const Path& directory, const ProjectionParts& parts, FileSystem& fs);
  ~Impl();

  void begin();
  void write(std::string_view bytes);
  void finish();

  void check_parts() const;
  void refuse_another() const;
  void make_folder();
  void begin_tables();
  void check_tables();
  std::optional<std::string> difference(ProjectionFile& tables) const;
  void place();
  void remove_left();
  void undo();

  const Path directory_;
  const Path folder_;
  const ProjectionParts parts_;
  FileSystem& fs_;
  bool made_folder_ = false;
  Path temporary_;              // of the tables, while they are written and checked
  std::unique_ptr<File> file_;  // the same
  std::uint64_t size_ = 0;
  std::optional<Generations> generations_;  // from when its files get their names
  bool finish_called_ = false;
  bool finished_ = false;
};

ProjectionInstall::Impl::Impl(const Path& directory, const ProjectionParts& parts, FileSystem& fs)
    : directory_(directory), folder_(folder_of(directory)), parts_(parts), fs_(fs) {}

void ProjectionInstall::Impl::begin() {
  check_parts();
  refuse_another();
  if (parts_.tables) begin_tables();
}

void ProjectionInstall::Impl::check_parts() const {
  Projection::check_name(parts_.name);
  if (parts_.declaration.empty()) {
    if (parts_.tables) return;
    throw Error(ErrorCode::InvalidArgument, "projection " + parts_.name + " has neither declaration nor tables");
  }
  check_declaration(parts_, declaration_path({}, parts_.name).string());
}

void ProjectionInstall::Impl::refuse_another() const { azoth::refuse_another(fs_, folder_, parts_.name); }

void ProjectionInstall::Impl::make_folder() {
  made_folder_ = made_folder_ || !fs_.exists(folder_);
  fs_.make_directory(folder_);
}

// Under a name that is no generation's: of one, what a crash left would be taken up as if it were whole.
void ProjectionInstall::Impl::begin_tables() {
  make_folder();
  const std::string start = std::string(kInstallStart) + parts_.name + ".";
  remove_starting_with(fs_, folder_, start);
  temporary_ = folder_ / (start + Uuid::random().text());
  file_ = fs_.open(temporary_, FileSystem::Mode::Create);
}

void ProjectionInstall::Impl::write(std::string_view bytes) {
  if (!file_) throw Error(ErrorCode::InvalidArgument, "projection " + parts_.name + " is put in place without tables");
  file_->write_at(size_, bytes);
  size_ += bytes.size();
}

void ProjectionInstall::Impl::finish() {
  if (std::exchange(finish_called_, true)) {  // a failed sync is not tried again
    throw Error(ErrorCode::InvalidArgument, "projection " + parts_.name + ": finish() is called once");
  }
  if (file_) check_tables();
  place();
  finished_ = true;
  generations_.reset();
}

// The file comes from elsewhere: nothing of it is believed before SQLite has found it sound.
void ProjectionInstall::Impl::check_tables() {
  file_->sync_data();
  const Path copy = "the copy of projection " + parts_.name;
  {
    ProjectionFile tables(*file_, copy);
    if (auto why = difference(tables)) damaged(copy, *why);
  }
  file_.reset();
}

std::optional<std::string> ProjectionInstall::Impl::difference(ProjectionFile& tables) const {
  ProjectionParts found;
  describe(found, tables);
  if (tables.name() != parts_.name) return "it is that of projection " + printable(tables.name());
  if (found.version != parts_.version) {
    return "it is of version " + std::to_string(found.version) + ", not " + std::to_string(parts_.version);
  }
  if (found.fingerprint != parts_.fingerprint) return "its fingerprint is another one";
  if (found.cursor == parts_.cursor) return std::nullopt;
  return "it shows event " + std::to_string(found.cursor) + ", not " + std::to_string(parts_.cursor);
}

// The pointer comes last. Before it there are tables that nobody reads, and then a declaration whose projection takes
// these up when it is run.
void ProjectionInstall::Impl::place() {
  make_folder();
  if (!projection_files(fs_, folder_, parts_.name).empty()) remove_left();
  generations_.emplace(fs_, folder_, parts_.name);
  const Generation generation = generations_->next();
  if (parts_.tables) {
    fs_.rename(temporary_, generations_->file(generation));
    fs_.sync_directory(directory_);
  }
  if (!parts_.declaration.empty()) Declarations(directory_, fs_).add(parts_.declaration, parts_.name + ".sql");
  if (parts_.tables) generations_->make_current(generation);
}

// By one that was interrupted.
void ProjectionInstall::Impl::remove_left() {
  Generations left(fs_, folder_, parts_.name);
  refuse_another();
  left.remove_all();
}

ProjectionInstall::Impl::~Impl() {
  if (finished_) return;
  try {
    undo();
  } catch (...) {  // what is left does not count, and the next one removes it
  }
}

void ProjectionInstall::Impl::undo() {
  file_.reset();
  if (generations_) generations_->remove_all();
  if (!temporary_.empty()) remove_if_there(fs_, temporary_);
  if (made_folder_) fs_.remove(folder_);
}

ProjectionInstall::ProjectionInstall(const Path& directory, const ProjectionParts& parts, FileSystem& fs)
    : impl_(std::make_unique<Impl>(directory, parts, fs)) {
  impl_->begin();
}

ProjectionInstall::~ProjectionInstall() = default;

void ProjectionInstall::write(std::string_view bytes) { impl_->write(bytes); }

void ProjectionInstall::finish() { impl_->finish(); }

// --- What cannot be installed

void keep_declaration(const Path& directory, std::string_view name, std::string_view declaration, FileSystem& fs) {
  Projection::check_name(name);
  const Path folder = folder_of(directory);
  refuse_another(fs, folder, std::string(name));
  fs.make_directory(folder);
  fs.sync_directory(directory);
  write_file_atomically(fs, declaration_path(folder, name), declaration);
}

}  // namespace azoth
