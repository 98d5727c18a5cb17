use std::io::{self, BufRead};

/// `fill_buf` that does not give up when a signal comes by.
pub(super) fn fill<R: BufRead>(source: &mut R) -> io::Result<&[u8]> {
    loop {
        match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            // At the end the source would be read again, and a signal then would look like an error in midstream.
            Ok([]) => return Ok(&[]),
            Ok(_) => break,
        }
    }
    source.fill_buf()
}
