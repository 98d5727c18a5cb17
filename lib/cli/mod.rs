//! What the three bins share: exit status, messages, sizes, progress, atomic output (S rules).

mod completions;
mod epoch;
mod logging;
mod message;
#[cfg(feature = "fetch")]
mod oci_fetch;
mod oci_flatten;
mod output;
mod size;
mod status;
mod tar2ext4;

pub use completions::completions;
pub use epoch::source_date_epoch;
pub use logging::{Common, ProgressMode};
pub use message::{escape, message_line};
#[cfg(feature = "fetch")]
pub use oci_fetch::OciFetch;
pub use oci_flatten::OciFlatten;
pub use output::{Output, OutputError};
pub use size::{SizeError, parse_size};
pub use status::{Failure, run};
pub use tar2ext4::Tar2ext4;
