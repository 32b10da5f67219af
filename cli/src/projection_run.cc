#include "projection_run.h"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <set>

#include "interruption.h"
#include "progress.h"
#include "text.h"

namespace azoth::cli {
namespace {

// Several projections: what is wrong with one does not stop the others. Remembers the first one's exit code.
class Failures {
 public:
  Failures(const Context& context, std::string_view command) : context_(context), command_(command) {}

  void add(const std::string& name, const Error& error) {
    std::string message = error.what();
    if (error.code() == ErrorCode::ProjectionFailed) {
      message += fmt::format(": azoth projection {} {} --on-error dead-letter", command_, name);
    }
    JsonObject object;
    object.text("error", error_name(error.code()))
        .text("projection", terminal_safe(name))
        .text("message", terminal_safe(message));
    report_object(context_, object, message);
    if (first_ == Exit::Ok) first_ = exit_for(error);
  }

  template <class Work>
  bool guarded(const std::string& name, Work work) {
    try {
      work();
      return true;
    } catch (const Error& error) {
      add(name, error);
      return false;
    }
  }

  Exit exit() const { return first_; }

 private:
  const Context& context_;
  const std::string_view command_;  // of the program, that goes on
  Exit first_ = Exit::Ok;
};

std::vector<std::string> chosen(Context& context, Db& db, const std::vector<std::string>& names) {
  if (!names.empty()) {
    const std::set<std::string> distinct(names.begin(), names.end());
    return {distinct.begin(), distinct.end()};
  }
  std::vector<std::string> declared = Declarations(db.directory()).names();
  if (declared.empty()) {
    report_object(context, JsonObject().text("note", "no_projections"),
                  "no projections are declared; declare one with: azoth projection add FILE.sql");
  }
  return declared;
}

void take_charge(Db& db, const std::string& name, const ErrorPolicy& policy) {
  Projection projection = load_projection(db, name);
  projection.on_error(policy);
  db.projections().add(std::move(projection));
}

// All there is when it is called; a rebuild is brought to its end.
class CatchUp {
 public:
  CatchUp(Projector& projector, const std::string& name) : projector_(projector), name_(name) {}

  void run() {
    const ProjectionStatus before = projector_.status(name_);
    const EventId from = before.rebuild ? before.rebuild->cursor : before.cursor;
    total_.cursor = from;
    for (bool over = false; !over;) {
      const RunReport batch = projector_.run_once(name_);
      total_.events += batch.events;
      total_.applied += batch.applied;
      total_.dead_letters += batch.dead_letters;
      total_.bytes += batch.bytes;
      total_.cursor = batch.cursor;
      progress_.update({total_.events, total_.bytes, total_.events, before.newest - std::min(from, before.newest)});
      over = batch.up_to_date || (!before.rebuild && batch.cursor >= before.newest);
    }
    progress_.clear();
    seconds_ = progress_.seconds();
    rebuilt_ = projector_.status(name_).rebuilt_because;
  }

  void print(Context& context) const {
    if (context.json()) {
      context.out.json(json());
    } else {
      context.out.line(text());
    }
    context.out.flush();  // the next one may take long
  }

 private:
  std::string json() const {
    JsonObject object;
    object.text("projection", name_)
        .number("events", total_.events)
        .number("applied", total_.applied)
        .number("dead_letters", total_.dead_letters)
        .number("cursor", total_.cursor)
        .decimal("seconds", seconds_);
    if (rebuilt_) {
      object.text("rebuilt", terminal_safe(*rebuilt_));
    } else {
      object.null("rebuilt");
    }
    return object.finish();
  }

  std::string text() const {
    if (total_.events == 0) return fmt::format("{}: up to date at event {}", name_, grouped(total_.cursor));
    const double rate = static_cast<double>(total_.events) / std::max(seconds_, 1e-3);
    std::string text = fmt::format("{}: {} events in {:.2f} s ({}/s), now at event {}", name_, grouped(total_.events),
                                   seconds_, grouped(static_cast<std::uint64_t>(rate)), grouped(total_.cursor));
    if (total_.dead_letters > 0) {
      text += fmt::format("; {} became dead letters: azoth dlq list {}", grouped(total_.dead_letters), name_);
    }
    return text;
  }

  Projector& projector_;
  const std::string& name_;
  Progress progress_{"events"};
  RunReport total_;
  double seconds_ = 0;
  std::optional<std::string> rebuilt_;
};

// What happens on the projections' threads, for the main thread to say.
class Changes {
 public:
  void add(const ProjectionChange& change) {
    std::lock_guard lock(mutex_);
    if (change.state == ProjectionState::Live || change.state == ProjectionState::Failed) queue_.push_back(change);
    changed_.notify_all();
  }
  void end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  std::optional<ProjectionChange> next() {  // nothing at the end
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
    if (ended_) return std::nullopt;
    ProjectionChange change = std::move(queue_.front());
    queue_.pop_front();
    return change;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ProjectionChange> queue_;
  bool ended_ = false;
};

void say_live(Context& context, const ProjectionChange& change, bool first) {
  if (context.json()) {
    JsonObject object;
    object.text("projection", change.name).text("state", state_name(change.state)).number("cursor", change.cursor);
    report_object(context, object, "");
  } else if (first) {
    report(context, "", fmt::format("{} is up to date at event {} and follows", change.name, grouped(change.cursor)));
  }
}

Exit follow_projections(Context& context, const ProjectionRunArgs& args) {
  block_signals();
  Changes changes;
  Failures failures(context, "run");
  Db db = open_store_for_reading(context);
  db.projections().listen([&changes](const ProjectionChange& change) { changes.add(change); });
  std::set<std::string> running;
  for (const std::string& name : chosen(context, db, args.names)) {
    const bool taken = failures.guarded(name, [&] {
      take_charge(db, name, args.policy);
      db.projections().follow(name);
    });
    if (taken) running.insert(name);
  }
  Interruption interruption(-1, [&changes] { changes.end(); });
  std::set<std::string> lived;
  while (!running.empty()) {
    std::optional<ProjectionChange> change = changes.next();
    if (!change) break;
    if (change->failure) {
      failures.add(change->name, *change->failure);
      running.erase(change->name);
    } else {
      say_live(context, *change, lived.insert(change->name).second);
    }
  }
  db.close();  // ends the threads that tell of changes
  return failures.exit();
}

void ignore_changes(Db& db) {
  db.projections().listen([](const ProjectionChange&) {});  // what fails is thrown, too
}

}  // namespace

std::string no_projection(const std::string& name) {
  return fmt::format("there is no projection {}; azoth projection list shows those there are", escaped(name));
}

Projection load_projection(Db& db, const std::string& name) {
  const Declarations declarations(db.directory());
  const std::vector<std::string> declared = declarations.names();
  if (std::find(declared.begin(), declared.end(), name) != declared.end()) return declarations.load(name);
  for (const ProjectionInfo& info : db.projections().inspect()) {
    if (info.name != name) continue;
    throw Error(
        ErrorCode::NotFound,
        fmt::format("the projection {} is not declared in SQL: a program with handlers of its own keeps it up to "
                    "date, and only that program can run it",
                    name));
  }
  throw Error(ErrorCode::NotFound, no_projection(name));
}

Exit run_projection_run(Context& context, const ProjectionRunArgs& args) {
  if (args.follow) return follow_projections(context, args);
  Db db = open_store_for_reading(context);
  ignore_changes(db);
  Failures failures(context, "run");
  for (const std::string& name : chosen(context, db, args.names)) {
    failures.guarded(name, [&] {
      take_charge(db, name, args.policy);
      CatchUp catch_up(db.projections(), name);
      catch_up.run();
      catch_up.print(context);
      db.projections().release(name);
    });
  }
  return failures.exit();
}

Exit run_projection_rebuild(Context& context, const ProjectionRebuildArgs& args) {
  Db db = open_store_for_reading(context);
  ignore_changes(db);
  Failures failures(context, "rebuild");
  failures.guarded(args.name, [&] {
    take_charge(db, args.name, args.policy);
    db.projections().rebuild(args.name);
    CatchUp catch_up(db.projections(), args.name);
    catch_up.run();
    catch_up.print(context);
  });
  return failures.exit();
}

}  // namespace azoth::cli
