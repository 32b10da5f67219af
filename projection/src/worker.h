// One projection under a projector's care: its files, its thread, its state.
//
// mutex_ guards everything but the flags; it is held during a batch and never while waiting for events. Those who want
// it for something else than a batch are counted, and the thread lets them in between two batches.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "applier.h"
#include "generations.h"
#include "projection_file.h"

namespace azoth {

inline constexpr std::string_view kAskedFor = "it was asked for";  // why a projection is built anew by rebuild()

class Worker {
 public:
  Worker(FileSystem& fs, const std::filesystem::path& projections, Projection projection,
         std::shared_ptr<EventSource> source, const ProjectorOptions& options, ProjectionListener listener);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  static void check_not_nested();  // NestedUse on a thread that runs handlers
  // Ends what others do with it, which throws Closed from now on, and gives its files up: they may hold this object for
  // longer than the projector does. Waits for a batch that has begun.
  void close();
  RunReport run_once();
  RunReport catch_up();
  bool run_until(EventId event, Deadline deadline);
  void follow();
  void stop();
  void pause();
  void resume();
  void rebuild();
  bool wait_until(EventId event, Deadline deadline);
  ProjectionStatus status();
  std::vector<DeadLetter> dead_letters();
  bool retry_dead_letter(EventId event);
  void drop_dead_letter(EventId event);

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct OpenFile {
    OpenFile(Worker& worker, Generation generation);
    const Generation number;
    ProjectionFile file;
    Applier applier;
  };
  struct Misfit {  // why the current generation cannot go on
    std::string reason;
    bool may_serve;  // it shows what is true, only by another declaration
  };

  class InBatch;  // marks the thread that runs handlers
  Lock take_turn();
  Lock enter();  // take_turn(), unless it was closed
  void check_open() const;
  void give_turns(Lock& lock);

  // Files.
  void open();
  template <class Look>
  static std::optional<Misfit> damage_met_by(Look look);
  std::optional<Misfit> open_current();
  void remove_unfinished();
  void begin_anew(const Misfit& misfit, bool continue_unfinished);
  bool take_up(Generation number);
  void create(Generation number);
  void reopen();
  void open_again();
  OpenFile& open_file();  // opens it, or begins anew, if that has failed before
  static void stamp_timeline(OpenFile& open, const Uuid& timeline);
  void finish_rebuild();
  void remove_old() noexcept;
  bool file_is_damaged() const;
  void replace_damaged(const Error& error);
  Connection::Mode mode() const;

  // Batches.
  RunReport one_batch(EventId to);
  RunReport checked_batch(EventId to);
  void met_obstacle(const Obstacle& obstacle);
  void met_trouble(const Error& error);
  void back_off(const Backoff& backoff, std::uint32_t failures);
  void note_error(std::string_view error);
  void fail(const Error& error);
  void changed();
  void check_may_run() const;
  void wait_backoff(Lock& lock, Deadline deadline, const std::function<bool()>& over);
  void learn_the_newest();
  RunReport run_to(Lock& lock, EventId to, Deadline deadline);
  void end_thread();
  void follow_events() noexcept;
  bool follow_step(Lock& lock);
  void wait_for_events(EventId after) noexcept;
  EventId served() const;
  ProjectionState state() const;
  void describe_lag(ProjectionStatus& status);
  ProjectionStatus::Rebuild describe_rebuild(EventId newest) const;

  FileSystem& fs_;
  const Projection projection_;
  const std::shared_ptr<EventSource> source_owner_;  // it may be waited on when the projector is gone
  EventSource& source_;
  Clock& clock_;
  Pacer& pacer_;
  const Backoff trouble_backoff_;
  const ProjectionListener listener_;

  std::atomic<bool> ended_{false};  // for good
  std::atomic<bool> stop_{false};   // the thread
  std::atomic<bool> paused_{false};
  std::atomic<bool> poked_{false};         // another file is being fed: its cursor is another
  std::atomic<std::uint32_t> wanting_{0};  // who waits for mutex_ between two batches

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::mt19937_64 random_;
  Generations generations_;
  std::optional<Generation> current_;  // that serves queries
  std::unique_ptr<OpenFile> file_;     // that is being fed: the current one, or the one that will be
  struct Rebuild {                     // while the old one serves
    std::string reason;
    EventId from = 0;  // where it was begun, or taken up
    Deadline since{};
  };
  std::optional<Rebuild> rebuild_;
  EventId served_cursor_ = 0;         // of the old one, or of the one that is closed
  std::optional<Generation> closed_;  // what file_ was and could not be opened again; nothing is wrong with it
  std::optional<Misfit> unfit_;       // what was begun anew for and did not come to its end: there is no file_
  std::optional<std::string> rebuilt_because_;
  std::uint32_t damages_ = 0;
  bool old_left_ = false;
  bool told_of_old_ = false;   // that it cannot be removed
  bool failure_noted_ = true;  // perhaps: by the last one
  ProjectionState told_ = ProjectionState::Stopped;
  bool following_ = false;
  bool live_ = false;
  std::optional<Error> failure_;
  std::optional<std::string> last_error_;
  std::optional<Timestamp> last_error_time_;
  std::uint32_t troubles_ = 0;          // in a row
  std::optional<Deadline> not_before_;  // a back-off
  std::mutex thread_mutex_;             // before mutex_
  std::thread thread_;
};

}  // namespace azoth
