#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/files.h"

namespace basin {

/// A record of the TFRecord format, little-endian: the length as 64 bits, the masked CRC-32C of these 8 bytes, the
/// content, and the masked CRC-32C of the content. Masked: rotated right by 15 bits, plus 0xa282ead8.
std::string tf_record(std::string_view content);

/// Named numbers of one training step.
struct ScalarEvent {
  double wall_time = 0;  // seconds since 1970
  int64_t step = 0;
  std::vector<std::pair<std::string, float>> values;
};

/// A message `Event` of TensorBoard in the wire format of protocol buffers: wall_time (field 1, double), step (2,
/// int64) and summary (5), a `Summary` with one `value` (1) for each number: tag (1, string) and simple_value (2,
/// float).
std::string encoded(const ScalarEvent&);

/// A file for TensorBoard, to which a training run appends its numbers while TensorBoard may be reading it. Its name
/// must contain "tfevents". The first record is the version of the format, "brain.Event:2".
class EventFile {
 public:
  /// Starts a new file, or if `resumed_step` is above 0 continues the present one after its events up to this step:
  /// later ones, and whatever follows a damaged or incomplete record, are removed. Throws one sentence with the file's
  /// name if it cannot be written.
  EventFile(std::filesystem::path, int64_t resumed_step);
  void add(const ScalarEvent&);

 private:
  std::filesystem::path path_;
  File file_;
};

}  // namespace basin
