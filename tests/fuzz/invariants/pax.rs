//! Any extended header is refused, or the member that it stands before keeps what it says when it is written again.

use oci2ext4::tar::END_MARKER;

use super::tar_reader::{check_stream, extended, header, sealed};

pub fn check(bytes: &[u8]) {
    for flag in *b"0125" {
        let archive = [&extended(bytes), &header(flag, 0)[..], &END_MARKER].concat();
        check_stream(&sealed(&archive));
    }
}
