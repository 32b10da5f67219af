// Manifests as text, and the rules that they keep (docs/format.md, "Manifest").
//
// The text is JSON that people can read. Reading is strict: a manifest is exactly the text that its content encodes to,
// so an unknown, missing, repeated or reordered member is damage. What a later version adds has a later format number.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "azoth/backup/key_file.h"
#include "azoth/backup/manifest.h"
#include "block_format.h"

namespace azoth::backup {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxManifestFiles = 2048;
inline constexpr std::size_t kMaxManifestProjections = 1024;
inline constexpr std::size_t kMaxManifestTimelines = 1024;
inline constexpr std::size_t kMaxManifestNameBytes = 255;

struct ReadManifest {
  Manifest manifest;
  std::string hash;            // of its text: what a diff's base_hash names
  bool authenticated = false;  // its authenticator was checked
};

// With a key: authenticated. InvalidArgument if check_manifest finds something, or the text gets too large.
std::string encode_manifest(const Manifest& manifest, const Key* key);

// Of hostile bytes. Corruption, or UnsupportedFormat; `name` is for messages. With a key it must be authentic.
ReadManifest decode_manifest(std::string_view bytes, const Key* key, std::string_view name);

// The first rule that it breaks, or nothing (empty).
std::string check_manifest(const Manifest& manifest);

// Whether this is the plain name of a file: 1..255 printable ASCII characters without '/' or '\', no leading dot.
bool plain_file_name(std::string_view name);

FileIdentity identity_of(const Manifest& manifest, const ManifestFile& file);

// What a manifest has in the place of a digest of content: the digest itself, or with a key what only those can compute
// who have it.
std::string content_digest(const std::string& digest, const Key* key);

}  // namespace azoth::backup
