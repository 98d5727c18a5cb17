//! What the operating system does for all rooms: opening, locking, waiting, reading small files, threads, names that go
//! away.
//!
//! What differs between systems (S8) has a Linux implementation and a portable one:
//!
//! | what | Linux | elsewhere |
//! |---|---|---|
//! | [`NewFile`]: an output without a name | `O_TMPFILE`, linkat(2) of /proc/self/fd | a temporary name, removed unless the process is killed |
//! | [`widen_pipe`] | `F_SETPIPE_SZ` | pipes stay as they are |
//! | [`send`]: from a file to a pipe | sendfile(2) | the caller reads and writes |
//! | [`punch`], [`zero`] | fallocate(2) | zeros are written |
//! | [`data_segments`], [`next_data`] | `SEEK_DATA`, `SEEK_HOLE` | the same if lseek(2) has them, else the file counts as dense |
//! | [`open_device`] | `O_EXCL`, size by lseek(2) | block devices are refused |
//! | [`Watch`]: waiting for a file to grow | inotify(7) | polling |
//! | [`random`] | getrandom(2) | /dev/urandom |
//! | [`open_beneath`]: no way out by symbolic links | openat2(2) | one directory after the other |
//! | [`PinnedInode`]: attributes of what has a name | `O_PATH`, /proc/self/fd | by its path |
//! | [`path_of_open`]: a file without a name, for another process | /proc/PID/fd | there is no way |
//! | syncing | fsync(2), fdatasync(2) | the standard library asks macOS for `F_FULLFSYNC` itself |
//!
//! Both implementations have the same signatures in `linux.rs` and `portable.rs`. The feature `portable` selects the
//! portable one on Linux, which is how it is tested.

mod beneath;
mod device;
mod file_kind;
mod file_size_limit;
mod holes;
mod interrupted;
mod lock;
mod mutex;
mod new_file;
mod node;
mod open;
mod process_status;
mod small_file;
mod standard_output;
mod temporary;
#[cfg(test)]
pub(crate) mod test_pipes;
mod thread;
mod wait;
mod waiting_reader;
mod waiting_writer;
mod watch;
mod writers;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "linux.rs"]
mod os;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "portable.rs"]
mod os;

/// Flags for open(2), as the standard library takes them.
#[must_use]
pub fn open_flags(flags: rustix::fs::OFlags) -> i32 {
    i32::from_ne_bytes(flags.bits().to_ne_bytes())
}

pub use beneath::open_beneath;
pub use device::{device_numbers, open_device};
pub use file_kind::{is_pipe, kind_in_words};
pub use file_size_limit::outlive_file_size_limit;
pub use holes::{data_segments, next_data, punch, zero};
pub use interrupted::uninterrupted;
pub use lock::{try_lock, try_lock_shared};
pub use mutex::locked;
pub use new_file::{NewFile, Replaced};
pub use node::PinnedInode;
pub use open::{open_at, open_directory, open_no_link, open_to_read};
pub use os::{path_of_open, random, send, widen_pipe};
pub use process_status::bit_set;
pub use small_file::{Pipes, SmallFileError, read_small_file};
pub use standard_output::standard_output;
pub use temporary::remove_temporary_names;
pub use thread::start_thread;
pub use wait::wait_until_writable;
pub use waiting_reader::WaitingReader;
pub use waiting_writer::WaitingWriter;
pub use watch::Watch;
pub use writers::{WRITE_BY_OTHERS, other_writers};
