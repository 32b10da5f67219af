#include "step.h"

#include <cstdio>

namespace azoth::proof {

Step make_step(int number) {
  const int index = number / 3;
  const auto size = static_cast<StepSize>(number % 3);
  char text[16];  // of one width, so that records of different steps can be of one length
  std::snprintf(text, sizeof text, "%09d", number);
  const std::string n = text;
  auto filler = static_cast<std::size_t>(index % kSameLength * 37 % 200);
  if (size == StepSize::Large) filler = 11'000;
  if (size == StepSize::Bulk) filler = 34'000;
  Step step;
  step.deletes.push_back("own/" + std::to_string((index + 97) % 100));
  step.puts.emplace_back("shared/" + std::to_string(index % 7), n + std::string(filler, 'v'));
  step.puts.emplace_back("own/" + std::to_string(index % 100), n);
  for (int i = 0; i <= index % 2; ++i) {
    step.events.push_back({.type = "type" + std::to_string(index % 4),
                           .tags = {"group:" + std::to_string(index % 5)},
                           .payload = n + " " + std::to_string(i),
                           .metadata = "",
                           .time = Timestamp(std::chrono::microseconds(number))});
  }
  return step;
}

}  // namespace azoth::proof
