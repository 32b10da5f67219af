#include "azoth/projection/projection.h"

#include <algorithm>
#include <cmath>

#include "azoth/core/bytes.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"

namespace azoth {

namespace {

constexpr std::size_t kMaxNameBytes = 64;

bool may_be_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool matches(std::string_view pattern, std::string_view type) {
  if (pattern.empty() || pattern.back() != '*') return pattern == type;
  return type.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

// Computed in floating point and cut before it becomes an integer, so that no number of failures overflows.
std::chrono::nanoseconds Backoff::delay(std::uint32_t failures, double random) const {
  if (initial.count() == 0) return initial;  // which no factor makes longer, infinity neither
  const double steps = failures > 0 ? failures - 1 : 0;
  const double longest = static_cast<double>(max.count());
  double nanoseconds = static_cast<double>(initial.count()) * std::pow(factor, steps);
  if (!(nanoseconds < longest)) nanoseconds = longest;
  nanoseconds *= 1 - jitter * random;
  if (!(nanoseconds < longest)) return max;  // as a double, the longest of all is more than an integer holds
  return std::chrono::nanoseconds{static_cast<std::int64_t>(nanoseconds)};
}

void Backoff::check(std::string_view whose) const {
  if (initial.count() >= 0 && max >= initial && factor >= 1 && jitter >= 0 && jitter <= 1) return;
  throw Error(ErrorCode::InvalidArgument, std::string(whose) +
                                              ": a back-off needs 0 <= initial <= max, a factor of at least 1 and a "
                                              "jitter between 0 and 1");
}

Projection::Projection(std::string name, std::uint32_t version) : name_(std::move(name)), version_(version) {
  check_name(name_);
  if (version_ == 0) throw Error(ErrorCode::InvalidArgument, "projection " + name_ + ": versions begin at 1");
}

bool Projection::is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), may_be_in_name);
}

void Projection::check_name(std::string_view name) {
  if (is_name(name)) return;
  throw Error(ErrorCode::InvalidArgument,
              "'" + printable(name) + "' cannot name a projection; use 1 to 64 letters, digits, _ and -");
}

Projection& Projection::schema(std::string sql) {
  schema_ = std::move(sql);
  return *this;
}

Projection& Projection::on(std::string pattern, Handler handler) {
  const std::size_t star = pattern.find('*');
  if (pattern.empty() || (star != std::string::npos && star + 1 != pattern.size())) {
    throw Error(ErrorCode::InvalidArgument, "projection " + name_ + ": '" + printable(pattern) +
                                                "' is no event type and no prefix; a * may only stand at the end");
  }
  for (const Entry& entry : entries_) {
    if (entry.pattern != pattern) continue;
    throw Error(ErrorCode::InvalidArgument, "projection " + name_ + " has two handlers for '" + pattern + "'");
  }
  entries_.push_back({std::move(pattern), std::move(handler)});
  return *this;
}

Projection& Projection::before_commit(BatchHook hook) {
  hook_ = std::move(hook);
  return *this;
}

Projection& Projection::on_error(ErrorPolicy policy) {
  policy.backoff.check("projection " + name_);
  policy_ = policy;
  return *this;
}

Projection& Projection::batch(BatchLimits limits) {
  if (limits.events == 0 || limits.bytes == 0 || limits.time.count() <= 0) {
    throw Error(ErrorCode::InvalidArgument, "projection " + name_ + ": the limits of a batch cannot be zero");
  }
  limits_ = limits;
  return *this;
}

Projection& Projection::synced(bool on) {
  synced_ = on;
  return *this;
}

Projection& Projection::fingerprint(std::string text) {
  given_fingerprint_ = std::move(text);
  return *this;
}

std::string Projection::fingerprint() const {
  Digest digest;
  digest.add(version_);
  digest.add_length_prefixed(schema_);
  digest.add(entries_.size());
  for (const Entry& entry : entries_) digest.add_length_prefixed(entry.pattern);
  digest.add_length_prefixed(given_fingerprint_);
  return digest.finish_hex();
}

std::vector<const Projection::Handler*> Projection::handlers(std::string_view type) const {
  std::vector<const Handler*> found;
  for (const Entry& entry : entries_) {
    if (matches(entry.pattern, type)) found.push_back(&entry.handler);
  }
  return found;
}

}  // namespace azoth
