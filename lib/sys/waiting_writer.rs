use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::wait::wait_until_writable;

/// Writes to a descriptor that may be non-blocking: waits if there is no room, and ignores interruptions.
///
/// The standard library takes a standard stream that is not open for writing for one that is closed, and drops what is
/// written to it without an error; here that is an error.
#[derive(Debug)]
pub struct WaitingWriter<W>(pub W);

impl<W: AsFd> Write for WaitingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.0, bytes) {
                Err(Errno::AGAIN) => wait_until_writable(self.0.as_fd())?,
                Err(Errno::INTR) => {}
                written => return written.map_err(Into::into),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fs::File;
    use std::io::Read;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_pipe_is_waited_for() {
        let (mut reader, writer) = crate::sys::test_pipes::pipe();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes).unwrap()
        });
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        WaitingWriter(writer).write_all(&bytes).unwrap();
        assert!(late.join().unwrap() == bytes);
    }

    #[test]
    fn what_cannot_be_written_to_is_an_error() {
        let error = WaitingWriter(File::open("/dev/null").unwrap()).write_all(b"lost").unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::BADF));
    }
}
