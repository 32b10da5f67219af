#include "azoth/core/event.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"

namespace azoth {
namespace {

constexpr std::uint8_t kOwnTime = 1;
constexpr std::uint8_t kMetadata = 2;
constexpr std::size_t kFlagsAt = 0;
constexpr std::size_t kTypeSizeAt = 1;
constexpr std::size_t kTagCountAt = 2;
constexpr std::size_t kFixedBytes = 3;
constexpr std::size_t kTimeBytes = sizeof(std::int64_t);

static_assert(limits::kMaxTypeBytes <= std::numeric_limits<std::uint8_t>::max());
static_assert(limits::kMaxTagBytes <= std::numeric_limits<std::uint8_t>::max());
static_assert(limits::kMaxTags <= std::numeric_limits<std::uint8_t>::max());

std::uint8_t byte_at(const char* body, std::size_t at) { return static_cast<std::uint8_t>(body[at]); }

std::size_t type_at(const char* body) { return kFixedBytes + kTimeBytes * (byte_at(body, kFlagsAt) & kOwnTime); }

std::size_t first_tag_at(const char* body) { return type_at(body) + byte_at(body, kTypeSizeAt); }

std::size_t after_tags_at(const char* body) {
  std::size_t at = first_tag_at(body);
  for (unsigned left = byte_at(body, kTagCountAt); left > 0; --left) at += 1 + byte_at(body, at);
  return at;
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= limits::kMaxTagBytes && tag.find('\0') == std::string_view::npos;
}

// Linear: an event has few tags, and never more than 64.
bool contains(std::span<const std::string_view> tags, std::string_view tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

void validate_tags(std::span<const std::string_view> tags) {
  if (tags.size() > limits::kMaxTags) {
    throw Error(ErrorCode::TooManyTags, "an event may have " + std::to_string(limits::kMaxTags) +
                                            " tags, this one has " + std::to_string(tags.size()));
  }
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (!is_tag(tags[i])) {
      throw Error(ErrorCode::TagInvalid, "a tag has 1 to " + std::to_string(limits::kMaxTagBytes) +
                                             " bytes and no zero byte, this one is '" + printable(tags[i]) + "'");
    }
    if (contains(tags.first(i), tags[i])) {
      throw Error(ErrorCode::TagInvalid, "the tag '" + printable(tags[i]) + "' is given twice; give it once");
    }
  }
}

}  // namespace

bool TagRange::contains(std::string_view tag) const {
  for (std::string_view own : *this) {
    if (own == tag) return true;
  }
  return false;
}

bool EventView::has_own_time() const { return !body_.empty() && (byte_at(body_.data(), kFlagsAt) & kOwnTime) != 0; }

Timestamp EventView::time() const {
  if (!has_own_time()) return commit_time_;
  return Timestamp{std::chrono::microseconds{codec::load<std::int64_t>(body_.data() + kFixedBytes)}};
}

std::string_view EventView::type() const {
  if (body_.empty()) return {};
  return {body_.data() + type_at(body_.data()), byte_at(body_.data(), kTypeSizeAt)};
}

TagRange EventView::tags() const {
  if (body_.empty()) return {};
  return {body_.data() + first_tag_at(body_.data()), byte_at(body_.data(), kTagCountAt)};
}

std::string_view EventView::metadata() const {
  if (body_.empty() || (byte_at(body_.data(), kFlagsAt) & kMetadata) == 0) return {};
  const char* at = body_.data() + after_tags_at(body_.data());
  return {at + sizeof(std::uint32_t), codec::load<std::uint32_t>(at)};
}

std::string_view EventView::payload() const {
  if (body_.empty()) return {};
  std::size_t at = after_tags_at(body_.data());
  if ((byte_at(body_.data(), kFlagsAt) & kMetadata) != 0) {
    at += sizeof(std::uint32_t) + codec::load<std::uint32_t>(body_.data() + at);
  }
  return {body_.data() + at, body_.size() - at};
}

namespace event_codec {

void validate(const Event& event) {
  if (event.type.empty() || event.type.size() > limits::kMaxTypeBytes) {
    throw Error(ErrorCode::EventTypeInvalid, "an event type has 1 to " + std::to_string(limits::kMaxTypeBytes) +
                                                 " bytes, this one has " + std::to_string(event.type.size()));
  }
  validate_tags(event.tags);
  if (event.metadata.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorCode::EventTooLarge, "the metadata of an event is shorter than 4 GiB, this has " +
                                              std::to_string(event.metadata.size()) + " bytes");
  }
}

std::size_t encoded_size(const Event& event) { return limited_size(event) + (event.time ? kTimeBytes : 0); }

std::size_t limited_size(const Event& event) {
  std::size_t size = kFixedBytes + event.type.size() + event.payload.size();
  for (std::string_view tag : event.tags) size += 1 + tag.size();
  if (!event.metadata.empty()) size += sizeof(std::uint32_t) + event.metadata.size();
  return size;
}

void append(std::string& to, const Event& event) {
  const auto flags = static_cast<std::uint8_t>((event.time ? kOwnTime : 0) | (event.metadata.empty() ? 0 : kMetadata));
  codec::append(to, flags);
  codec::append(to, static_cast<std::uint8_t>(event.type.size()));
  codec::append(to, static_cast<std::uint8_t>(event.tags.size()));
  if (event.time) codec::append(to, std::int64_t{event.time->time_since_epoch().count()});
  to.append(event.type);
  for (std::string_view tag : event.tags) {
    codec::append(to, static_cast<std::uint8_t>(tag.size()));
    to.append(tag);
  }
  if (!event.metadata.empty()) {
    codec::append(to, static_cast<std::uint32_t>(event.metadata.size()));
    to.append(event.metadata.view());
  }
  to.append(event.payload.view());
}

bool well_formed(std::string_view body) {
  codec::Reader in(body);
  const auto flags = in.read<std::uint8_t>();
  const auto type_size = in.read<std::uint8_t>();
  const auto tag_count = in.read<std::uint8_t>();
  if ((flags & ~(kOwnTime | kMetadata)) != 0 || type_size == 0 || tag_count > limits::kMaxTags) return false;
  if ((flags & kOwnTime) != 0) in.take(kTimeBytes);
  in.take(type_size);
  std::array<std::string_view, limits::kMaxTags> tags;
  for (std::size_t i = 0; i < tag_count; ++i) {
    tags[i] = in.take(in.read<std::uint8_t>());
    if (!is_tag(tags[i]) || contains(std::span(tags).first(i), tags[i])) return false;
  }
  // Metadata that is there is not empty: each event has one encoding.
  if ((flags & kMetadata) != 0 && in.take(in.read<std::uint32_t>()).empty()) return false;
  return !in.failed();
}

}  // namespace event_codec
}  // namespace azoth
