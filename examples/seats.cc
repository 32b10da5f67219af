// A course with few seats: what decides is the events that were read, and the condition that no other has come since.
// No key stands for the course; its tag does. As many clients as like may try at once.
#include <azoth/db.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kSeats = 3;

// Whether the student has got a seat.
bool enrol(azoth::Db& db, const std::string& course, const std::string& student) {
  std::string course_tag = "course:" + course;
  std::string student_tag = "student:" + student;
  while (true) {
    azoth::ReadTxn snapshot = db.read();
    azoth::GuardedEvents enrolled = snapshot.guarded({{.types = {"enrolled"}, .tags = {course_tag}}});
    int taken = 0;
    for (const azoth::EventView& event : enrolled.events()) {
      if (event.tags().contains(student_tag)) return true;
      ++taken;
    }
    if (taken == kSeats) return false;
    azoth::WriteSet set;
    set.append({.type = "enrolled", .tags = {course_tag, student_tag}, .payload = "{}"});
    auto outcome = db.submit(std::move(set), std::array{enrolled.unchanged()});
    if (outcome) return outcome->wait(), true;
    // Somebody was faster: read again and decide anew.
  }
}

}  // namespace

int main(int argc, char** argv) try {
  azoth::Db db = azoth::Db::open_or_create(argc > 1 ? argv[1] : "seats");
  {
    std::vector<std::jthread> students;
    for (int i = 0; i < 8; ++i) {
      students.emplace_back([&db, i] { enrol(db, "algebra", std::to_string(i)); });
    }
  }
  int taken = 0;
  azoth::ReadTxn snapshot = db.read();
  for ([[maybe_unused]] const azoth::EventView& event : snapshot.events({.tags = {"course:algebra"}})) ++taken;
  std::cout << taken << " of " << kSeats << " seats are taken\n";
  return 0;
} catch (const azoth::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
