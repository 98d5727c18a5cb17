//! Reads an archive from its first member to its end.

use std::io::BufRead;

use super::{End, Error, Member, MemberData, Reader, Warning};

/// Takes the members of an archive, to make an index or an image of them.
pub trait MemberSink<R> {
    /// Why reading stops.
    type Error: From<Error>;

    /// Takes a member and as much of its data as needed.
    ///
    /// # Errors
    /// When the member is refused, or its data cannot be read or stored.
    fn member(&mut self, member: Member, data: MemberData<'_, R>) -> Result<(), Self::Error>;

    /// Something was skipped before the next member.
    fn warning(&mut self, warning: &Warning);
}

/// Passes all members to `sink` and returns how the archive ended; what follows its end is not read.
///
/// # Errors
/// When the archive cannot be read, is cut or malformed, and those of the sink.
pub fn read_tar<R: BufRead, S: MemberSink<R>>(reader: &mut Reader<R>, sink: &mut S) -> Result<End, S::Error> {
    loop {
        let member = reader.next_member()?;
        for warning in reader.take_warnings() {
            sink.warning(&warning);
        }
        let Some(member) = member else { break };
        sink.member(member, reader.data())?;
    }
    // After the last member the reader knows how the archive ended.
    Ok(reader.end().unwrap_or(End::CleanEof))
}
