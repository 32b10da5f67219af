// The BackupSource of a store.
#pragma once

#include <memory>

#include "azoth/canonical/backup_source.h"
#include "store_impl.h"

namespace azoth {

std::unique_ptr<BackupSource> make_backup_source(StoreImpl& store);

}  // namespace azoth
