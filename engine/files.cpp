#include "engine/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// Whether a path is an address such as https://host/x.zarr.
bool is_address(const fs::path& path) {
  const std::string text = path.string();
  return std::ranges::any_of(std::array{"http:/", "https:/", "s3:/", "gs:/", "ftp:/"},
                             [&](const char* scheme) { return text.starts_with(scheme); });
}

std::string why(int error) { return std::strerror(error); }

const std::string temporary_prefix = ".basin-", temporary_suffix = ".tmp";
std::atomic<unsigned> temporaries{0};

/// What the names of temporary files of this machine begin with.
std::string own_prefix() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return temporary_prefix + host + '-';
}

/// A name that no other call returns.
fs::path temporary_beside(const fs::path& path) {
  const std::string unique = std::to_string(getpid()) + "-" + std::to_string(temporaries++);
  return path.parent_path() / (own_prefix() + unique + temporary_suffix);
}

/// Locks a temporary file or folder as long as it is open, so that remove_abandoned() keeps it. Returns false if it was
/// removed before it could be locked.
bool claim(int descriptor, const fs::path& path) {
  flock(descriptor, LOCK_EX);  // where this fails, it fails for all processes of this machine
  std::error_code none;
  return fs::exists(path, none);
}

/// Removes the temporary files and folders of this machine in a folder that no process has locked. Those of other
/// machines are kept: file systems on the network do not lock folders across machines.
void remove_abandoned(const fs::path& folder) {
  std::error_code none;
  std::vector<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(own_prefix()) || !name.ends_with(temporary_suffix)) continue;
    if (entry.is_regular_file(none) || entry.is_directory(none)) left.push_back(entry.path());
  }
  for (const fs::path& path : left) {
    // Some file systems lock only what is open for writing, which a folder cannot be.
    const int mode = fs::is_directory(path, none) ? O_RDONLY | O_DIRECTORY : O_RDWR;
    const int descriptor = open(path.c_str(), mode | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) fs::remove_all(path, none);
    close(descriptor);
  }
}

/// Writes all bytes to an open file. Returns 0, or the number of the error.
int write_all(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), std::min(bytes.size(), size_t(1) << 30));
    if (written >= 0)
      bytes.remove_prefix(size_t(written));
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

/// Flushes a folder. Some file systems cannot; the files themselves are safe.
void flush_folder(const fs::path& folder) {
  const int d = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d < 0) return;
  fsync(d);
  close(d);
}

}  // namespace

void refuse_missing(const fs::path& path) {
  if (is_address(path))
    refuse(path.string(), ": is an address on the network; Basin reads files only, so download it first");
  refuse(path.string(), ": no such file or folder");
}

File open_file(const fs::path& path) {
  if (is_address(path)) refuse_missing(path);
  struct stat s;  // checked first, because opening a pipe would wait for its other end
  if (stat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
    refuse(path.string(), ": is not a regular file");
  File file(std::fopen(path.c_str(), "rb"));
  if (!file) refuse(path.string(), ": cannot be opened (", why(errno), ")");
  if (fstat(fileno(file.get()), &s) != 0) refuse(path.string(), ": cannot be read (", why(errno), ")");
  if (S_ISDIR(s.st_mode)) refuse(path.string(), ": is a folder, not a file");
  if (!S_ISREG(s.st_mode)) refuse(path.string(), ": is not a regular file");
  if (s.st_size == 0) refuse(path.string(), ": is empty");
  return file;
}

std::vector<std::byte> read_file(const fs::path& path) {
  const File file = open_file(path);
  struct stat s;
  if (fstat(fileno(file.get()), &s) != 0) refuse(path.string(), ": cannot be read (", why(errno), ")");
  std::vector<std::byte> bytes(size_t(s.st_size));
  if (std::fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size())
    refuse(path.string(), ": could only be read in part");
  return bytes;
}

std::string read_text(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

OutputFile::OutputFile(const fs::path& path) : path_(path) {
  std::error_code none;
  if (fs::is_symlink(path_, none)) path_ = fs::weakly_canonical(path_, none);
  const fs::file_status status = fs::status(path_, none);
  if (fs::is_directory(status)) refuse(path.string(), ": is a folder, so no file can be written there");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    // A killed process may have left a file with this name: in a container the process number is often the same on
    // every run.
    do {
      temporary_ = temporary_beside(path_);
      descriptor_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0) continue;
      if (claim(descriptor_, temporary_)) break;
      close(descriptor_);
      errno = EEXIST;
    } while (errno == EEXIST);
  }
  if (descriptor_ < 0) refuse(path_.string(), ": cannot be written (", why(errno), ")");
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

bool OutputFile::put(const void* bytes, size_t n) noexcept {
  if (error_ == 0) error_ = write_all(descriptor_, {static_cast<const char*>(bytes), n});
  return error_ == 0;
}

void OutputFile::write(const void* bytes, size_t n) {
  if (!put(bytes, n)) refuse_write();
}

void OutputFile::refuse_write() const { refuse(path_.string(), ": cannot be written (", why(error_), ")"); }

void OutputFile::commit() {
  if (error_ != 0) refuse_write();
  const auto check = [this](int result) {
    if (result == 0) return;
    error_ = errno;
    refuse_write();
  };
  if (!temporary_.empty()) {
    check(fsync(descriptor_));
    check(rename(temporary_.c_str(), path_.c_str()));
    temporary_.clear();
    flush_folder(path_.parent_path());
  }
  const int descriptor = descriptor_;
  descriptor_ = -1;
  check(close(descriptor));
}

OutputFolder::OutputFolder(const fs::path& path) : path_(path) {
  std::error_code error;
  if (fs::exists(path_, error) && !fs::is_directory(path_, error))
    refuse(path.string(), ": is a file, so no folder can be written there");
  do {
    temporary_ = temporary_beside(path_);
    if (!fs::create_directory(temporary_, error)) continue;
    descriptor_ = open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0 || claim(descriptor_, temporary_)) return;
    close(descriptor_);
  } while (!error);
  refuse(path.string(), ": cannot be written (", error.message(), ")");
}

OutputFolder::~OutputFolder() {
  std::error_code none;
  if (!temporary_.empty()) fs::remove_all(temporary_, none);
  if (descriptor_ >= 0) close(descriptor_);
}

void OutputFolder::write(const std::string& name, std::string_view content) {
  const fs::path file = temporary_ / name;
  std::error_code error;
  if (!fs::is_directory(temporary_, error)) refuse(path_.string(), ": cannot be written (its folder was removed)");
  fs::create_directories(file.parent_path(), error);
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  int failure = descriptor < 0 ? errno : write_all(descriptor, content);
  if (failure == 0 && fsync(descriptor) != 0) failure = errno;
  if (descriptor >= 0 && close(descriptor) != 0 && failure == 0) failure = errno;
  if (failure != 0) refuse(path_.string(), ": cannot be written (", why(failure), ")");
}

void OutputFolder::commit() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(temporary_, error))
    if (entry.is_directory(error)) flush_folder(entry.path());
  flush_folder(temporary_);
  const fs::path old = temporary_beside(path_);
  const bool replaces = fs::exists(path_, error);
  if (replaces) fs::rename(path_, old, error);
  if (!error) fs::rename(temporary_, path_, error);
  if (error) {
    std::error_code none;
    if (replaces && !fs::exists(path_, none)) fs::rename(old, path_, none);
    refuse(path_.string(), ": cannot be written (", error.message(), ")");
  }
  temporary_.clear();
  if (replaces) fs::remove_all(old, error);
  flush_folder(path_.parent_path());
}

void write_atomically(const fs::path& path, const void* bytes, size_t n) {
  OutputFile file(path);
  file.write(bytes, n);
  file.commit();
}

void append_to_file(const fs::path& path, const void* bytes, size_t n) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  int error = descriptor < 0 ? errno : write_all(descriptor, {static_cast<const char*>(bytes), n});
  if (error == 0 && fdatasync(descriptor) != 0) error = errno;
  if (descriptor >= 0) close(descriptor);
  if (error != 0) refuse(path.string(), ": cannot be written (", why(error), ")");
}

void make_folder(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error)) refuse(path.string(), ": is a file, not a folder");
  fs::create_directories(path, error);
  if (error) refuse(path.string(), ": cannot be created (", error.message(), ")");
  if (access(path.c_str(), W_OK | X_OK) != 0) refuse(path.string(), ": is not writable (", why(errno), ")");
  remove_abandoned(path);
}

FolderLock::FolderLock(const fs::path& path) {
  struct stat locked, there;
  for (;;) {
    make_folder(path);
    const fs::path file = path / lock_name;
    descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno == ENOENT) continue;  // the folder was removed
    if (descriptor_ < 0) refuse(file.string(), ": cannot be opened (", why(errno), ")");
    held_ = flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    const bool is_there = stat(file.c_str(), &there) == 0 && fstat(descriptor_, &locked) == 0 &&
                          there.st_ino == locked.st_ino && there.st_dev == locked.st_dev;
    if (!held_ || is_there) return;
    close(descriptor_);  // whoever had the lock has removed it with the folder
  }
}

FolderLock::~FolderLock() { close(descriptor_); }

void write_atomically(const fs::path& path, std::string_view text) { write_atomically(path, text.data(), text.size()); }

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    c = char(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

}  // namespace basin
