#include "azoth/db.h"

namespace azoth {

Db Db::open(const std::filesystem::path& directory, const Options& options) {
  return Db(Store::open(directory, options));
}

Db Db::open_read_only(const std::filesystem::path& directory, const Options& options) {
  return Db(Store::open_read_only(directory, options));
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
