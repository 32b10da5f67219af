#include "compression.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <string>

#include "azoth/core/error.h"

namespace azoth::backup {
namespace {

[[noreturn]] void no_memory() { throw Error(ErrorCode::OutOfMemory, "there is no memory for zstd; use a lower level"); }

}  // namespace

void check_compression_level(int level) {
  if (level >= 0 && level <= kMaxCompressionLevel) return;
  throw Error(ErrorCode::InvalidArgument, "the compression level is 0 (none) to " +
                                              std::to_string(kMaxCompressionLevel) + ", not " + std::to_string(level));
}

struct Compressor::State {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  int level = 0;
  ~State() { ZSTD_freeCCtx(context); }
};

Compressor::Compressor(int level) : state_(std::make_unique<State>()) {
  if (state_->context == nullptr) no_memory();
  state_->level = level;
}

Compressor::~Compressor() = default;

std::string_view Compressor::compress(std::string_view raw) {
  out_.resize(raw.size());  // no larger: what does not get smaller is stored as it is
  const std::size_t size =
      ZSTD_compressCCtx(state_->context, out_.data(), out_.size(), raw.data(), raw.size(), state_->level);
  if (ZSTD_isError(size)) {
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) no_memory();
    return {};
  }
  if (size >= raw.size()) return {};
  return std::string_view(out_).substr(0, size);
}

struct Decompressor::State {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ~State() { ZSTD_freeDCtx(context); }
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr) no_memory();
}

Decompressor::~Decompressor() = default;

bool Decompressor::decompress(std::string_view compressed, char* to, std::size_t raw_size) {
  const std::size_t size = ZSTD_decompressDCtx(state_->context, to, raw_size, compressed.data(), compressed.size());
  return !ZSTD_isError(size) && size == raw_size;
}

}  // namespace azoth::backup
