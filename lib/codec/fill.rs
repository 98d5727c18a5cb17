use std::io::{self, BufRead};

/// `fill_buf` that does not fail when a signal interrupts it.
pub(super) fn fill<R: BufRead>(source: &mut R) -> io::Result<&[u8]> {
    loop {
        match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            // At the end, the second call below would read the source again, and an interruption would look like an error.
            Ok([]) => return Ok(&[]),
            Ok(_) => break,
        }
    }
    source.fill_buf()
}
