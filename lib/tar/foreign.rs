//! Recognises streams that are not tar archives by the magic numbers of other formats (F13, I6).
//!
//! Some formats begin with zeros, as an empty archive does, and have their magic numbers further in: these are checked
//! if an end marker is followed by other bytes. Sources: the kernel's headers of each file system (`s_magic` and its
//! offset), ECMA-119 for ISO 9660, the UEFI specification for GPT, magic(5) for the rest.

use super::header::Block;

/// A magic number: its offset, its bytes, and a description that follows "this is no tar archive".
type Magic = (usize, &'static [u8], &'static str);

/// Magic numbers of formats that do not begin with zeros, all within the first block.
const AT_THE_START: &[Magic] = &[
    (0, b"!<arch>", " but an ar archive, as .deb packages are"),
    (0, b"070701", " but a cpio archive"),
    (0, b"070702", " but a cpio archive"),
    (0, b"070707", " but a cpio archive"),
    (0, b"\xc7\x71", " but a cpio archive"),
    (0, b"\x71\xc7", " but a cpio archive"),
    (0, b"\xed\xab\xee\xdb", " but an RPM package: rpm2archive makes a tar of it"),
    (0, b"\x7fELF", " but a program"),
    (0, b"MZ", " but a program for Windows"),
    (0, b"#!", " but a script"),
    (0, b"hsqs", " but a squashfs image: sqfs2tar makes a tar of it"),
    (0, b"sqsh", " but a squashfs image: sqfs2tar makes a tar of it"),
    (0, b"XFSB", " but an XFS image"),
    (0x20, b"NXSB", " but an APFS image"),
    (0, b"7z\xbc\xaf\x27\x1c", " but a 7z archive: bsdtar makes a tar of it"),
    (0, b"Rar!\x1a\x07", " but a RAR archive: bsdtar makes a tar of it"),
    (0, b"\x60\xea", " but an ARJ archive"),
    (2, b"-lh", " but an LHA archive: bsdtar makes a tar of it"),
    (0, b"WARC/", " but a web archive (WARC)"),
    (0, b"QFI\xfb", " but a qcow2 disk image"),
    (0, b"QED\0", " but a QED disk image"),
    (0, b"WithoutFreeSpace", " but a Parallels disk image"),
    (0, b"WithouFreSpacExt", " but a Parallels disk image"),
    (0, b"\x3a\xff\x26\xed", " but a sparse image of Android: simg2img makes a disk image of it"),
    (0, b"KDMV", " but a VMDK disk image"),
    (0, b"COWD", " but a VMDK disk image"),
    (0, b"# Disk DescriptorFile", " but the description of a VMDK disk image"),
    (0, b"vhdxfile", " but a VHDX disk image"),
    (0, b"conectix", " but a VHD disk image"),
    (0x40, b"\x7f\x10\xda\xbe", " but a VDI disk image"),
    (0, b"LUKS\xba\xbe", " but an encrypted disk (LUKS)"),
    (0, b"\x45\x3d\xcd\x28", " but a cramfs image"),
    (0, b"-rom1fs-", " but a romfs image"),
    (0, b"\x85\x19", " but a JFFS2 image"),
    (0, b"\x19\x85", " but a JFFS2 image"),
    (0, b"UBI#", " but a UBI image"),
    (0, b"\x31\x18\x10\x06", " but a UBIFS image"),
    (0, b"\x27\x05\x19\x56", " but an image for U-Boot"),
    (0, b"MSCF", " but a cabinet file: bsdtar makes a tar of it"),
    (0, b"MSWIM", " but a WIM image"),
    (0, b"xar!", " but an xar archive: bsdtar makes a tar of it"),
    (0, b"%PDF-", " but a PDF document"),
    (0, b"-----BEGIN PGP", " but encrypted: gpg -d decrypts it"),
    (0, b"age-encryption.org/", " but encrypted: age -d decrypts it"),
    (0, b"Salted__", " but encrypted: openssl enc -d decrypts it"),
    (0, b"begin ", " but encoded: uudecode decodes it"),
    (0, b"begin-base64 ", " but encoded: uudecode decodes it"),
    (0, b"version https://git-lfs", " but what Git LFS leaves in place of a file: git lfs pull fetches it"),
    (0, b"\x1f\x8b\x08", COMPRESSED_TWICE),
    (0, b"\x28\xb5\x2f\xfd", COMPRESSED_TWICE),
    (0, b"\xfd7zXZ\0\0\x01", COMPRESSED_TWICE),
    (0, b"\xfd7zXZ\0\0\x04", COMPRESSED_TWICE),
    (0, b"BZh91AY", COMPRESSED_TWICE),
    (0, b"\x04\x22\x4d\x18", COMPRESSED_TWICE),
    (510, b"\x55\xaa", " but a disk image: it begins with a boot sector"),
];

/// The decoder has already removed one layer of compression.
const COMPRESSED_TWICE: &str = " but compressed once more: decompress it once";

/// Magic numbers of formats that begin with zeros, or may do so.
const BEHIND_ZEROS: &[Magic] = &[
    (512, b"EFI PART", " but a disk image with a GPT"),
    (512, b"LABELONE", " but a physical volume of LVM"),
    (0xff6, b"SWAPSPACE2", " but swap space"),
    (0x1_0034, b"ReIsEr", " but a ReiserFS image"),
    (1024, b"\xe2\xe1\xf5\xe0", " but an EROFS image"),
    (1024, b"\x10\x20\xf5\xf2", " but an F2FS image"),
    (0x1000, b"\xfc\x4e\x2b\xa9", " but a part of a RAID (md)"),
    (0x1018, b"\xc6\x85\x73\xf6", " but a bcachefs image"),
    (0x8000, b"JFS1", " but a JFS image"),
    (0x438, b"\x53\xef", " but an ext2, ext3 or ext4 image"),
    (0x8001, b"CD001", " but an ISO 9660 image: bsdtar makes a tar of it"),
    (0x8001, b"BEA01", " but a UDF image"),
    (0x1_0040, b"_BHRfS_M", " but a btrfs image"),
    // Short ones last, since formats with longer ones above may contain them.
    (1024, b"H+\0", " but an HFS+ image"),
    (1024, b"HX\0", " but an HFS+ image"),
    (1024, b"BD", " but an HFS image"),
    (0x406, b"\x34\x34", " but a NILFS2 image"),
    (0x410, b"\x7f\x13", " but a Minix file system"),
    (0x410, b"\x8f\x13", " but a Minix file system"),
    (0x410, b"\x68\x24", " but a Minix file system"),
    (0x410, b"\x78\x24", " but a Minix file system"),
    (0x418, b"\x5a\x4d", " but a Minix file system"),
    (510, b"\x55\xaa", " but a disk image: it begins with a boot sector"),
];

/// How many bytes of a stream are needed to check for [`BEHIND_ZEROS`].
pub(super) const HEAD: usize = 0x1_0048;

fn find(magics: &[Magic], head: &[u8]) -> Option<&'static str> {
    let has = |(at, magic, _): &&Magic| head.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    magics.iter().find(has).map(|(_, _, what)| *what)
}

/// What a stream may be if its first block is not a header: a text to follow "this is no tar archive".
pub(super) fn looks_like(block: &Block) -> &'static str {
    known(block).unwrap_or(" (plain ones are read, and those compressed by gzip, zstd, xz or bzip2)")
}

/// Likewise, but only if the block is recognised; it may be the whole stream.
pub(super) fn known(block: &Block) -> Option<&'static str> {
    if let Some(what) = find(AT_THE_START, block) {
        return Some(what);
    }
    Some(match block.trim_ascii_start() {
        [b'{', rest @ ..] if rest.trim_ascii_start().starts_with(b"\"type\"") => {
            " but a layer manifest: oci-flatten makes a tar of it"
        }
        [b'{', ..] | [b'[', b'{' | b'[' | b'"' | b' ' | b'\n' | b'\r' | b']', ..] => " but JSON",
        [b'<', ..] => " but HTML or XML: did a download fail?",
        [b'P', b'K', 3..=8, ..] => " but a zip archive",
        _ => return None,
    })
}

/// What a stream may be if it begins with zeros but contains something else, judging by its first [`HEAD`] bytes.
pub(super) fn behind_zeros(head: &[u8]) -> &'static str {
    find(BEHIND_ZEROS, head).unwrap_or(": it begins with zeros, and something else stands behind them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::Reader;

    fn refusal(stream: &[u8]) -> String {
        let mut reader = Reader::new(stream);
        let mut members = 0;
        loop {
            match reader.next_member() {
                Ok(Some(_)) => members += 1,
                Ok(None) => return format!("{members} members"),
                Err(error) => return error.to_string(),
            }
        }
    }

    fn at(offset: usize, magic: &[u8]) -> Vec<u8> {
        let mut stream = vec![0; HEAD + 4096];
        stream[offset..offset + magic.len()].copy_from_slice(magic);
        stream
    }

    #[test]
    fn every_format_is_named() {
        for &(offset, magic, what) in AT_THE_START.iter().chain(BEHIND_ZEROS) {
            let said = refusal(&at(offset, magic));
            assert!(said.contains(what), "{said}: {magic:?}");
        }
    }

    #[test]
    fn zeros_alone_are_an_empty_archive_and_nothing_else_is() {
        for len in [1024, 1536, 10_240, HEAD + 100_000] {
            assert_eq!(refusal(&vec![0; len]), "0 members");
        }
        for offset in [512, 700, 1024, 1500, 5000, HEAD, HEAD + 4000] {
            let said = refusal(&at(offset, b"x"));
            assert!(said.contains("something else stands behind them"), "{offset}: {said}");
        }
    }
}
