#include "contestants.h"

#include <memory>

#include "azoth/core/error.h"

namespace azoth::bench {

std::string_view safety_name(Safety safety) {
  switch (safety) {
    case Safety::PowerCut:
      return "power cut";
    case Safety::ProcessDeath:
      return "process death";
    case Safety::Nothing:
      return "nothing";
  }
  return "";
}

Contestant contestant(const SystemKind& kind, const Settings& settings, Scratch& scratch, const Load& load,
                      std::optional<double> at_least) {
  Contestant result;
  result.system = kind.name;
  result.threads = load.threads;
  result.durability = safety_name(kind.safety);
  result.at_least = at_least;
  result.missing = kind.missing;
  if (!kind.missing.empty()) return result;
  auto system = std::make_shared<std::unique_ptr<System>>();
  std::filesystem::path directory = scratch.make(kind.name);
  result.open = [=, open = kind.open, value_size = settings.value_size] {
    *system = open(directory);
    if (load.keys != 0) (*system)->fill(load.keys, value_size);
    if (load.log != 0) (*system)->fill_log(load.log, settings.keys, value_size);
  };
  result.close = [system, directory] {
    system->reset();
    std::filesystem::remove_all(directory);
  };
  result.play = [system, load, settings](unsigned round) { return run_load(**system, settings, load, round); };
  return result;
}

unsigned threads(const Settings& settings, unsigned own) { return settings.threads != 0 ? settings.threads : own; }

Load paced(const Settings& settings) { return {.warm_up = settings.seconds / 4, .seconds = settings.seconds}; }

Load sustained(const Settings& settings, unsigned own_threads, unsigned in_flight) {
  return {.threads = threads(settings, own_threads),
          .in_flight = in_flight,
          .warm_up = settings.seconds,
          .seconds = settings.seconds};
}

}  // namespace azoth::bench
