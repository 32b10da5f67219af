#include "system.h"

namespace azoth::bench {

SystemKind rocksdb_system(Safety safety) {
  return {safety == Safety::PowerCut ? "rocksdb sync" : "rocksdb nosync", safety, {}, "built without RocksDB"};
}

}  // namespace azoth::bench
