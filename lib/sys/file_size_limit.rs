use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

/// Lets a write beyond the limit on file sizes (`ulimit -f`) fail, as one to a full disk does. By default a signal ends the
/// process, without a word.
pub fn outlive_file_size_limit() {
    // Without a handler it stays as it was.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
