use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::event::PollFlags;

use super::wait::wait_until;

/// Reads from a descriptor that may be non-blocking, as when another program that shares the terminal or pipe made it so:
/// waits if there is nothing yet, and ignores interruptions.
#[derive(Debug)]
pub struct WaitingReader<R>(pub R);

impl<R: Read + AsFd> Read for WaitingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_until(self.0.as_fd(), PollFlags::IN)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_empty_pipe_is_waited_for() {
        let (reader, mut writer) = crate::sys::test_pipes::pipe();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let late = std::thread::spawn(move || {
            for part in ["one ", "two ", "three"] {
                std::thread::sleep(Duration::from_millis(20));
                writer.write_all(part.as_bytes()).unwrap();
            }
        });
        assert_eq!(io::read_to_string(WaitingReader(reader)).unwrap(), "one two three");
        late.join().unwrap();
    }
}
