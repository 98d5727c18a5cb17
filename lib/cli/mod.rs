//! What the three bins share: exit status, messages, sizes, progress, atomic output (S rules).

mod advice;
mod age;
mod at;
mod command_line;
mod completions;
mod epoch;
#[cfg(feature = "fetch")]
mod fetch_progress;
mod flatten_progress;
mod identify;
mod input;
mod link;
mod logging;
mod message;
#[cfg(feature = "fetch")]
mod oci_fetch;
mod oci_flatten;
mod output;
mod pack_progress;
mod progress;
mod reader;
mod report;
mod size;
mod status;
mod tar2ext4;
mod uuid_choice;
mod verity;
mod warning_limit;

pub use advice::advice;
pub use age::{AgeError, parse_age};
pub use at::At;
pub use command_line::command_line;
use completions::completions;
pub use epoch::source_date_epoch;
#[cfg(feature = "fetch")]
pub use fetch_progress::fetch_progress;
pub use flatten_progress::flatten_progress;
pub use input::{Refusals, open_input};
pub use logging::{Common, ProgressMode};
pub use message::{escape, legible, message_line};
#[cfg(feature = "fetch")]
pub use oci_fetch::OciFetch;
pub use oci_flatten::OciFlatten;
pub use output::{Output, OutputError};
pub use pack_progress::{WatchedInput, packed};
pub use progress::clear_progress;
pub use reader::{require_reader, while_read};
pub use size::{SizeError, parse_size};
pub use status::{Failure, run};
pub use tar2ext4::Tar2ext4;
pub use uuid_choice::UuidChoice;
pub use verity::{Tree, VerityReport};
