#include "life.h"

#include <sys/stat.h>

#include <thread>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::proof {

using std::chrono::microseconds;

namespace {

constexpr int kLives = 3;
constexpr std::size_t kMostCuts = 3;  // of one life

}  // namespace

void Sight::add(const Sight& more) {
  lives += more.lives;
  cuts += more.cuts;
  commits += more.commits;
  answers += more.answers;
  troubles += more.troubles;
}

std::string Sight::text() const {
  return std::to_string(lives) + " lives, " + std::to_string(cuts) + " power cuts and kills, " +
         std::to_string(troubles) + " lives with errors of files, " + std::to_string(commits) + " commits, " +
         std::to_string(answers) + " acts of clients";
}

void Lives::run() {
  create();
  Ledger ledger;
  for (int life = 0; life < kLives; ++life) {
    const Scenario scenario = Scenario::of(random_);
    live(scenario, ledger);
    // One of what is left lives on; of the others it is only seen what they hold.
    std::vector<Left> left = std::exchange(left_, {});
    left.push_back({Files::get().disk().cached(), ledger, "its end"});
    std::swap(left[random_.below(left.size())], left.back());
    for (Left& each : left) {
      enter(each.disk);
      Scheduler::get()->tell("is where the store is as after " + each.how);
      if (&each != &left.back()) open(scenario.options, each.ledger)->close();
    }
    ledger = left.back().ledger;
  }
  open(Scenario::of(random_).options, ledger)->close();
}

void Lives::create() {
  enter({});
  Store::create(store(), Scenario::of(random_).options);
}

void Lives::enter(const DiskState& state) {
  if (places_ != 0 && random_.one_in(8)) Files::get().check_model();
  Files::get().end();
  place_ = directory_ + "/" + std::to_string(++places_);
  if (::mkdir(place_.c_str(), 0700) != 0) fail("there is no place for " + place_);
  materialise(state, place_);
  Files::get().begin(place_, state);
}

// --- A life

void Lives::live(const Scenario& scenario, Ledger& ledger) {
  ++sight_.lives;
  Files& files = Files::get();
  files.expect({});
  plan_cuts(ledger);
  EventId delivered = 0;
  {
    std::unique_ptr<Store> store = open(scenario.options, ledger);
    if (random_.one_in(4)) files.expect({.call = files.calls() + 1 + random_.below(120), .lasting = random_.one_in(2)});
    Scene scene{.store = *store, .ledger = ledger, .scenario = scenario};
    use(*store, scene);
    delivered = scene.delivered;
  }
  const bool had_trouble = files.had_trouble();
  sight_.troubles += had_trouble ? 1 : 0;
  files.observe(nullptr);
  files.expect({});
  ledger.lose_below(had_trouble ? Durability::Written : Durability::Applied);
  std::unique_ptr<Store> store = open(scenario.options, ledger);
  if (!had_trouble && !store->status().recovery.clean) fail("a store that was closed has to recover");
  const EventId last = store->read().last_event();
  if (scenario.has_subscriber && (had_trouble ? delivered > last : delivered != last)) {
    fail("a subscription has delivered " + std::to_string(delivered) + " events of " + std::to_string(last));
  }
  if (random_.one_in(8)) {
    const VerifyReport report = store->verify();
    if (!report.ok()) fail("verify: " + report.problems.front());
  }
  store->close();
}

// Opens the store, and sees that it holds what it must.
std::unique_ptr<Store> Lives::open(const Options& options, Ledger& ledger) {
  std::unique_ptr<Store> store;
  try {
    store = Store::open(this->store(), options);
  } catch (const Error& error) {
    fail(std::string("the store cannot be opened: ") + error.what());
  }
  Scheduler::get()->tell("has opened commit " + std::to_string(store->read().commit_seq()));
  const Content content = Content::of(store->read(Durability::Durable));
  ledger.check(content, ledger.acknowledged(Durability::Durable));
  ledger.recovered(content);
  check_numbers(*store, ledger);
  check_seal(*store, ledger);
  return store;
}

void Lives::check_numbers(const Store& store, const Ledger& ledger) {
  for (const auto& [name, next] : ledger.numbers()) {
    if (store.peek_sequence(name) < ledger.next_number(name)) fail("numbers of " + name + " would come again");
  }
}

void Lives::check_seal(Store& store, Ledger& ledger) {
  using Seal = Ledger::Seal;
  const bool sealed = store.meta().sealed_event.has_value();
  if (sealed ? ledger.seal == Seal::Open : ledger.seal == Seal::Sealed) fail("a seal, or its end, was lost");
  if (sealed) ledger.seal = Seal::Unsealing;
  while (store.meta().sealed_event) {
    try {
      store.unseal();
    } catch (const Error& error) {  // its journal may have to wait for a slow disk
      if (!error.retryable()) fail(std::string("unseal failed: ") + error.what());
    }
  }
  ledger.seal = Seal::Open;
}

void Lives::use(Store& store, Scene& scene) {
  const Scenario& scenario = scene.scenario;
  std::vector<std::thread> threads;
  std::vector<Client> clients;
  clients.reserve(static_cast<std::size_t>(scenario.clients));
  for (int i = 0; i < scenario.clients; ++i) {
    Client& client = clients.emplace_back(scene, random_.next());
    threads.emplace_back([&client] { client.run(); });
  }
  if (scenario.has_admin) threads.emplace_back([&scene, seed = random_.next()] { administer(scene, seed); });
  Subscription subscription = store.subscribe();
  std::thread subscriber;
  if (scenario.has_subscriber) subscriber = std::thread([&] { follow(scene, subscription); });
  if (scenario.closes_early) {
    std::this_thread::sleep_for(microseconds(random_.below(4'000)));
    close(scene);
  }
  for (std::thread& thread : threads) thread.join();
  if (!scenario.closes_early) {
    if (random_.one_in(8)) see_that_it_is_idle(store);
    close(scene);
  }
  if (subscriber.joinable()) subscriber.join();
  for (const int called : scene.callbacks) {
    if (called == 0) fail("a callback has not come");
  }
  sight_.answers += scene.answers;
  sight_.commits += scene.placed;
}

void Lives::close(Scene& scene) {
  scene.closing = true;
  try {
    scene.store.close();
  } catch (const Error& error) {
    if (!Files::get().had_trouble()) fail(std::string("close failed: ") + error.what());
  }
}

// An idle store does nothing at all.
void Lives::see_that_it_is_idle(Store& store) {
  Scheduler& scheduler = *Scheduler::get();
  if (scheduler.manner().wakes_falsely || Files::get().had_trouble()) return;
  try {
    store.checkpoint();
  } catch (const Error&) {  // trouble that has come just now
    return;
  }
  std::this_thread::sleep_for(std::chrono::seconds(10));
  const std::uint64_t turns = scheduler.turns_of_others();
  std::this_thread::sleep_for(std::chrono::hours(1));
  if (scheduler.turns_of_others() != turns) fail("an idle store is busy");
}

// --- Cuts

// The moments are between the calls that change the disk: between two of them nothing else can be lost, and more is
// acknowledged with each moment that passes. So they are tried right before the next call.
void Lives::plan_cuts(Ledger& ledger) {
  Files& files = Files::get();
  files.observe([this, &ledger, next = files.calls() + 1 + random_.below(100)](std::uint64_t call) mutable {
    if (call != next || left_.size() == kMostCuts) return;
    next = call + 1 + random_.below(150);
    left_.push_back(cut(ledger));
  });
}

Lives::Left Lives::cut(const Ledger& ledger) {
  ++sight_.cuts;
  const Disk& disk = Files::get().disk();
  Left left{.disk = {}, .ledger = ledger, .how = "a kill"};
  if (random_.one_in(3)) {
    left.disk = disk.cached();
    left.ledger.lose_below(Durability::Written);
  } else {
    const std::vector<Cut> cuts = cuts_at(disk.pieces(), disk.entry_changes(), random_.next());
    const Cut& cut = cuts[random_.below(cuts.size())];
    left.disk = disk.after(cut);
    left.ledger.lose_below(Durability::Durable);
    left.how = "a power cut, " + cut.text();
  }
  Scheduler::get()->tell(left.how + " before call " + std::to_string(Files::get().calls()));
  return left;
}

}  // namespace azoth::proof
