//! Any stream is refused, or e2fsck finds nothing wrong with the image it becomes; content decides the image's identity, so
//! that twice gives the same bytes (S6).

use std::io::Cursor;

use oci2ext4::ext4::{Error as ImageError, Free, Options};
use oci2ext4::meta::Timestamp;
use oci2ext4::pack::{EntryError, Error, Identify, PackOptions, pack};

use super::image::Image;
use super::tar_reader::sealed;

pub fn check(bytes: &[u8]) {
    one(bytes);
    one(&sealed(bytes));
}

fn one(bytes: &[u8]) {
    let image = Image::new();
    match write(bytes, &image) {
        Ok(()) => {
            image.e2fsck();
            let again = Image::new();
            write(bytes, &again).expect("it went well before");
            assert!(image.bytes() == again.bytes(), "twice, and not the same");
        }
        Err(Error::Image(ImageError::Write { .. } | ImageError::Tree { .. })) => panic!("a fault of ours"),
        Err(Error::Member { problem, .. }) if matches!(*problem, EntryError::Image(ImageError::Write { .. })) => {
            panic!("{problem}")
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn write(bytes: &[u8], image: &Image) -> Result<(), Error> {
    let now = Timestamp::from_secs(1_700_000_000);
    let options = PackOptions {
        image: Options { free: Free::Bytes(0), ..Options::default() },
        identity: Identify::ByContent { uuid: None, now, last_write: now },
        allow_missing_eof: true,
    };
    pack(Cursor::new(bytes.to_vec()), image.target(), &options).map(drop)
}
