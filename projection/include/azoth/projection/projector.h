// The Projector keeps projections up to date from an EventSource: each on a thread of its own (follow), or when it is
// told to (run_once, catch_up, run_until). A batch of events, their effects, the dead letters and the cursor are one
// SQLite transaction: every effect is there exactly once, whenever the process dies.
//
// One process at a time keeps a projection up to date: add() fails with Locked, naming the pid of the other one.
// All members may be called from any thread; of one projection, one batch runs at a time, whoever asks.
// Calling them from a handler is NestedUse. How a projection is stored, rebuilt and recovered is in
// docs/projections.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "azoth/core/event_source.h"
#include "azoth/core/file.h"
#include "azoth/projection/projection.h"

namespace azoth {

enum class ProjectionState {
  Stopped,     // brought up to date only when it is told to
  CatchingUp,  // there are events that it has not seen
  Live,        // it has seen all of them and waits for more
  Paused,
  Failed  // it stopped, and says why; resume() tries again
};
std::string_view state_name(ProjectionState state);  // "catching_up"

// Where a projection stands; everything is as its file says.
struct ProjectionStatus {
  std::string name;
  std::uint32_t version = 0;
  ProjectionState state = ProjectionState::Stopped;
  EventId cursor = 0;                     // of the tables that serve queries
  EventId newest = 0;                     // of the log
  std::uint64_t lag = 0;                  // events between them
  std::chrono::microseconds lag_time{0};  // how long ago the oldest of these was committed
  std::optional<EventId> sealed;          // the last event there will be
  std::uint64_t dead_letters = 0;
  std::uint64_t generation = 0;  // that serves queries
  std::optional<std::string> last_error;
  std::optional<Timestamp> last_error_time;
  struct Rebuild {
    std::string reason;
    std::uint64_t generation = 0;  // that is being built
    EventId cursor = 0;
    double events_per_second = 0;  // since it was begun or taken up again; 0 while unknown
    std::optional<std::chrono::seconds> remaining;
  };
  std::optional<Rebuild> rebuild;
  // Why this object had to build it anew: the last reason there was.
  std::optional<std::string> rebuilt_because;
};

struct RunReport {
  std::uint64_t events = 0;   // that the cursor passed
  std::uint64_t applied = 0;  // of these, seen by a handler
  std::uint64_t dead_letters = 0;
  std::uint64_t bytes = 0;
  EventId cursor = 0;
  bool up_to_date = false;  // there was nothing left
};

// An event that could not be applied. Owns its content.
struct DeadLetter {
  EventId event_id = 0;
  CommitSeq commit_seq = 0;
  Timestamp commit_time{};
  std::string body;
  std::uint32_t attempts = 0;
  std::string error;
  Timestamp first_failed{};
  Timestamp last_failed{};

  EventView event() const { return {event_id, commit_seq, commit_time, body}; }
};

// Steady time, and waiting for it to pass: what a test replaces to have no sleeps.
class Pacer {
 public:
  virtual ~Pacer() = default;
  virtual Deadline now() = 0;
  // Until then, or until `over`; `changed` is notified, with the lock held, when that may have changed.
  virtual void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Deadline until,
                    const std::function<bool()>& over) = 0;
  static Pacer& system();
};

struct ProjectorOptions {
  Clock* clock = nullptr;                  // the system's if null
  Pacer* pacer = nullptr;                  // the system's if null
  Backoff trouble_backoff = {};            // between attempts when the disk is full or there is no memory
  std::optional<std::uint64_t> seed = {};  // of the back-off's jitter
};

// That a projection's state has become another one.
struct ProjectionChange {
  std::string name;
  ProjectionState state = ProjectionState::Stopped;
  EventId cursor = 0;
  std::optional<Error> failure;
};
using ProjectionListener = std::function<void(const ProjectionChange&)>;

// A projection as anybody may see it, in any process: what its files say.
struct ProjectionInfo {
  std::string name;
  bool declared = false;         // in SQL: declarations.h
  std::uint32_t version = 0;     // of its tables; of its declaration if there are none; 0 if there is neither
  std::uint64_t generation = 0;  // 0: it has no tables yet
  EventId cursor = 0;
  EventId newest = 0;  // of the log
  std::uint64_t lag = 0;
  std::chrono::microseconds lag_time{0};
  std::uint64_t dead_letters = 0;
  std::optional<std::string> owner;    // the pid of the process that keeps it up to date now
  std::optional<std::string> failure;  // why it failed, if that was the last that happened
  std::optional<std::string> rebuild;  // why it is built anew, now or when it is run the next time
  std::optional<std::string> problem;  // why its tables cannot be believed, or something of it cannot be read
  bool unbelievable = false;           // the former, which building it anew would mend
  std::filesystem::path file;          // of its current generation
};
// All there are in DIRECTORY/projections, by name. Takes charge of none, and changes nothing.
std::vector<ProjectionInfo> inspect_projections(const std::filesystem::path& directory, EventSource& source,
                                                Clock& clock = Clock::system(), FileSystem& fs = FileSystem::posix());

// Of one projection, whoever keeps it up to date; changes nothing. NotFound if it has no tables.
std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& directory, std::string_view name,
                                          FileSystem& fs = FileSystem::posix());
// Gives up these events: all or, if one of them is no dead letter, none (NotFound). Locked, naming the process, while
// one keeps the projection up to date. For those who have no declaration of it.
void drop_dead_letters(const std::filesystem::path& directory, std::string_view name,
                       const std::vector<EventId>& events, FileSystem& fs = FileSystem::posix());

class Worker;  // projection/src/worker.h

class Projector {
 public:
  // The projections are in DIRECTORY/projections, which is made when the first one is added. InvalidArgument for a
  // back-off that is none (Backoff::check).
  Projector(std::filesystem::path directory, std::shared_ptr<EventSource> source, const ProjectorOptions& options = {},
            FileSystem& fs = FileSystem::posix());
  // The source must outlive the projector, and the calls of it that were going on when it ended.
  Projector(std::filesystem::path directory, EventSource& source, const ProjectorOptions& options = {},
            FileSystem& fs = FileSystem::posix());
  ~Projector();  // as close()
  Projector(const Projector&) = delete;
  Projector& operator=(const Projector&) = delete;

  // Stops all, waits for the batches that have begun, and has charge of none any more. Calls that wait meanwhile, on
  // other threads, end with Closed, and so does what is called afterwards. Again, it does nothing.
  void close();

  // Takes charge of a projection. Its tables are made, found, or, if they do not fit the declaration or the log, begun
  // anew (status().rebuild says why). AlreadyOpen if it is here already, Locked if another process has it, SqlFailed
  // for a bad schema. Nothing is applied yet.
  void add(Projection projection);
  // Stops it; its tables stay. Calls that wait for it end with Closed.
  void release(std::string_view name);
  // Called when the state of a projection that is added from now on becomes another one: on the thread that runs it and
  // in the middle of that, at the end of following it, too. It should only take note: calling the projector would wait
  // for itself. Failures are then not logged. What pause(), resume() and rebuild() make of the state need not be told,
  // but what comes behind it is: a projection that fails again after resume() is told of again.
  void listen(ProjectionListener listener);
  std::vector<std::string> names() const;

  // One batch, now. Throws Paused, ProjectionFailed at an event that its policy does not pass over, or what is wrong
  // with the database. Waits out back-offs.
  RunReport run_once(std::string_view name);
  // All there is when it is called; a rebuild is brought to its end.
  RunReport catch_up(std::string_view name);
  // Up to this event, which is waited for if it is not there yet. False if the time is over (a batch that has begun is
  // brought to its end), or if the log is sealed before it.
  bool run_until(std::string_view name, EventId event, std::optional<std::chrono::nanoseconds> timeout = {});

  // On a thread of its own, from now on. It outlasts errors that may pass; after another one it is Failed.
  void follow(std::string_view name);
  void follow_all();
  void stop(std::string_view name);

  // Returns when no batch is running; none is begun until resume().
  void pause(std::string_view name);
  void resume(std::string_view name);  // one that has failed, too

  // Builds it anew, beside the tables there are.
  void rebuild(std::string_view name);

  // Whether what is queried shows this event. Waits for it until the timeout; runs it itself if it is not followed.
  // Throws what it has failed with: ProjectionFailed at an event, or what is wrong with the database.
  bool wait_until(std::string_view name, EventId event, std::chrono::nanoseconds timeout);

  ProjectionStatus status(std::string_view name) const;
  std::vector<ProjectionStatus> status() const;
  // All there are in the folder, also those that this one has no charge of: inspect_projections().
  std::vector<ProjectionInfo> inspect() const;

  std::vector<DeadLetter> dead_letters(std::string_view name) const;
  // Applies it now: its effects and its removal are one transaction. False if its handler has failed again, which is
  // noted. NotFound if there is none. Its effects come after those of later events.
  bool retry_dead_letter(std::string_view name, EventId event);
  void drop_dead_letter(std::string_view name, EventId event);

 private:
  std::shared_ptr<Worker> worker(std::string_view name) const;
  std::vector<std::shared_ptr<Worker>> workers() const;
  void check_open() const;

  const std::filesystem::path directory_;
  const std::shared_ptr<EventSource> source_;  // shared with the workers, whose callers may hold them for longer
  const ProjectorOptions options_;
  FileSystem& fs_;
  std::mutex close_mutex_;  // before mutex_
  mutable std::mutex mutex_;
  bool closed_ = false;
  ProjectionListener listener_;
  std::map<std::string, std::shared_ptr<Worker>, std::less<>> workers_;
};

}  // namespace azoth
