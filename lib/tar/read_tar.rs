//! Reading an archive from its first member to its end.

use std::io::BufRead;

use super::{Data, End, Error, Member, Reader, Warning};

/// What becomes of the members of an archive: an index of them, an image.
pub trait MemberSink<R> {
    /// Why it goes no further.
    type Error: From<Error>;

    /// Takes a member and as much of its data as it wants.
    ///
    /// # Errors
    /// When the member is refused, or its data cannot be read or kept.
    fn member(&mut self, member: Member, data: Data<'_, R>) -> Result<(), Self::Error>;

    /// Something was skipped. It comes before the member that follows.
    fn warning(&mut self, warning: &Warning);
}

/// Hands all members to `sink` and says how the archive ended; what stands behind its end is not read.
///
/// # Errors
/// When the archive cannot be read, is cut or malformed, and what the sink says.
pub fn read_tar<R: BufRead, S: MemberSink<R>>(reader: &mut Reader<R>, sink: &mut S) -> Result<End, S::Error> {
    loop {
        let member = reader.next_member()?;
        for warning in reader.take_warnings() {
            sink.warning(&warning);
        }
        let Some(member) = member else { break };
        sink.member(member, reader.data())?;
    }
    // After its last member a reader knows how the archive ended.
    Ok(reader.end().unwrap_or(End::CleanEof))
}
