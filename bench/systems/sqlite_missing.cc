#include "system.h"

namespace azoth::bench {

SystemKind sqlite_system(Safety safety) {
  return {safety == Safety::PowerCut ? "sqlite full" : "sqlite off", safety, {}, "built without SQLite"};
}

}  // namespace azoth::bench
