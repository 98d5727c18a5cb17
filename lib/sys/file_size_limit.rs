use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

/// Makes a write beyond the limit on file sizes (`ulimit -f`) an error, like one to a full disk. By default, it kills the
/// process silently with a signal.
pub fn outlive_file_size_limit() {
    // If this fails, the default remains.
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
