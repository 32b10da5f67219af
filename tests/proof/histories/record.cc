#include "record.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <unordered_map>

#include "azoth/core/error.h"

namespace azoth::proof::histories {
namespace {

enum class RecordKind : Word { Invoked, Answered, Reached, Note };

// The records of a file, up to the first that is not whole.
class Records {
 public:
  explicit Records(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return;
    words_.resize(static_cast<std::size_t>(file.tellg()) / sizeof(Word));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(words_.data()), static_cast<std::streamsize>(words_.size() * sizeof(Word)));
  }

  bool next() {
    at_ = end_;
    if (at_ == words_.size() || words_[at_] >= words_.size() - at_) return false;
    end_ = at_ + 1 + words_[at_];
    ++at_;
    return true;
  }
  Word word() {
    if (at_ == end_) throw std::runtime_error("a record is too short");
    return words_[at_++];
  }
  bool more() const { return at_ < end_; }
  template <class Enum>
  Enum as() {
    return static_cast<Enum>(word());
  }
  ListId list() { return {word()}; }

 private:
  std::vector<Word> words_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

Answer read_answer(Records& records) {
  Answer answer{.tick = records.word(),
                .ending = records.as<Ending>(),
                .level = records.as<Sight>(),
                .looks_at = records.as<Sight>(),
                .commit = records.word(),
                .already_applied = records.word() != 0};
  while (records.more()) {
    Op op{.list = records.list(), .append = records.word()};
    if (op.append == 0) op.seen.resize(records.word());
    for (Word& value : op.seen) value = records.word();
    answer.ops.push_back(std::move(op));
  }
  return answer;
}

}  // namespace

bool Attempt::appends() const {
  return std::any_of(wishes.begin(), wishes.end(), [](const Wish& wish) { return wish.append != 0; });
}

std::optional<Sight> Attempt::acknowledged() const {
  if (!answer || answer->ending != Ending::Committed) return std::nullopt;
  return reached ? std::max(answer->level, reached->level) : answer->level;
}

RecordFile::RecordFile(const std::filesystem::path& path)
    : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600)) {
  if (fd_ < 0) throw_errno(errno, "cannot make " + path.string());
}

RecordFile::~RecordFile() { close(fd_); }

void RecordFile::write() {
  words_.front() = static_cast<Word>(words_.size() - 1);
  const std::size_t bytes = words_.size() * sizeof(Word);
  if (::write(fd_, words_.data(), bytes) != static_cast<ssize_t>(bytes)) throw_errno(errno, "writing a record");
}

void RecordFile::invoked(const Attempt& attempt) {
  words_ = {0, static_cast<Word>(RecordKind::Invoked), attempt.txn, attempt.invoked, attempt.command ? 1u : 0u};
  for (const Wish& wish : attempt.wishes) words_.insert(words_.end(), {wish.list.word, wish.append});
  write();
}

void RecordFile::answered(Word txn, const Answer& answer) {
  words_ = {0,
            static_cast<Word>(RecordKind::Answered),
            txn,
            answer.tick,
            static_cast<Word>(answer.ending),
            static_cast<Word>(answer.level),
            static_cast<Word>(answer.looks_at),
            answer.commit,
            answer.already_applied ? 1u : 0u};
  for (const Op& op : answer.ops) {
    words_.insert(words_.end(), {op.list.word, op.append});
    if (op.append != 0) continue;
    words_.push_back(static_cast<Word>(op.seen.size()));
    words_.insert(words_.end(), op.seen.begin(), op.seen.end());
  }
  write();
}

void RecordFile::reached(Word txn, const Reached& reached) {
  words_ = {0, static_cast<Word>(RecordKind::Reached), txn, reached.tick, static_cast<Word>(reached.level)};
  write();
}

void RecordFile::note(Note::Kind kind, const std::vector<Word>& numbers) {
  words_ = {0, static_cast<Word>(RecordKind::Note), static_cast<Word>(kind)};
  words_.insert(words_.end(), numbers.begin(), numbers.end());
  write();
}

std::vector<Attempt> read_attempts(const std::filesystem::path& path, Word life, Word client) {
  std::vector<Attempt> attempts;
  std::unordered_map<Word, std::size_t> by_txn;
  for (Records records(path); records.next();) {
    const auto kind = records.as<RecordKind>();
    const Word txn = records.word();
    if (kind == RecordKind::Invoked) {
      by_txn[txn] = attempts.size();
      Attempt& attempt = attempts.emplace_back(Attempt{
          .life = life, .client = client, .txn = txn, .invoked = records.word(), .command = records.word() != 0});
      while (records.more()) {
        const ListId list = records.list();
        attempt.wishes.push_back({list, records.word()});
      }
    } else if (kind == RecordKind::Answered) {
      attempts.at(by_txn.at(txn)).answer = read_answer(records);
    } else {
      const Word tick = records.word();
      attempts.at(by_txn.at(txn)).reached = Reached{tick, records.as<Sight>()};
    }
  }
  return attempts;
}

std::vector<Note> read_notes(const std::filesystem::path& path) {
  std::vector<Note> notes;
  for (Records records(path); records.next();) {
    records.word();
    Note& note = notes.emplace_back(Note{.kind = records.as<Note::Kind>(), .numbers = {}});
    while (records.more()) note.numbers.push_back(records.word());
  }
  return notes;
}

std::filesystem::path Places::attempts(Word life, Word client) const {
  return records() / ("life-" + std::to_string(life) + "-client-" + std::to_string(client));
}

std::filesystem::path Places::attempts_beside(Word process, Word client) const {
  return records() / ("beside-" + std::to_string(process) + "-client-" + std::to_string(client));
}

std::filesystem::path Places::notes(Word life) const { return records() / ("life-" + std::to_string(life)); }

}  // namespace azoth::proof::histories
