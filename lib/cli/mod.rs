//! What the three filters share: exit status, messages, sizes, progress, atomic output (S rules).

mod advice;
mod age;
mod at;
mod command_line;
mod completions;
mod epoch;
mod identify;
mod input;
mod link;
mod logging;
mod message;
#[cfg(feature = "fetch")]
mod oci_fetch;
mod oci_flatten;
mod output;
mod panics;
mod progress;
mod reader;
mod report;
mod size;
mod status;
mod tar2ext4;
mod terminal;
mod uuid_choice;
mod verity;
mod warning_limit;

pub use advice::advice;
pub use age::{AgeError, parse_age};
pub use at::AtPath;
pub use command_line::command_line;
use completions::completions;
pub use epoch::source_date_epoch;
pub use input::{Refusals, open_input};
pub use logging::{Common, ProgressMode};
pub use message::{legible, message_line};
#[cfg(feature = "fetch")]
pub use oci_fetch::OciFetch;
pub use oci_flatten::OciFlatten;
pub use output::{Output, OutputError};
#[cfg(feature = "fetch")]
pub use progress::fetch_progress;
pub use progress::{WatchedInput, flatten_progress, packed};
pub use reader::{is_kept, require_reader, while_read};
pub use size::{SizeError, parse_size};
pub use status::{Failure, run};
pub use tar2ext4::Tar2ext4;
pub use terminal::clear_progress;
pub use uuid_choice::UuidChoice;
pub use verity::{VerityReport, VerityTree};
