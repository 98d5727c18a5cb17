//! What is no tar archive is named and refused; an image's archive is packed with a warning (F13, I6).

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::script::items;
use crate::support::stack::{Manifest, tar};
use crate::support::{Filter, needs, scratch, shell};

const EROFS: &str = "application/vnd.erofs.layer.v1";

fn packs(archive: &Path) -> crate::support::Ran {
    Filter::tar2ext4().arg("-o").arg(archive.with_extension("image")).arg(archive).run()
}

/// An oci-flatten that has one layer, of this media type.
fn flattens(dir: &Path, content: &[u8], media_type: &str) -> crate::support::Ran {
    let mut manifest = Manifest::default();
    manifest.blob(dir.join("blob"), content, content, json!({}));
    manifest.last()["mediaType"] = json!(media_type);
    Filter::oci_flatten().stdin(manifest.text()).run()
}

#[test]
fn images_of_file_systems_and_disks_are_named() {
    needs(&["mke2fs", "zstd"]);
    let scratch = scratch();
    let compressed = |path: &Path, by: &str| {
        let once = shell(&format!(r#"{by} "$0""#)).arg(path).run().succeeds().stdout.clone();
        fs::write(path.with_extension("once"), once).unwrap();
        shell(&format!(r#"{by} "$0""#)).arg(path.with_extension("once")).run().succeeds().stdout.clone()
    };
    let ext4 = scratch.path().join("ext4");
    shell(r#"truncate -s 4M "$0" && mke2fs -q -t ext4 "$0""#).arg(&ext4).run().succeeds();
    let head = |offset: usize, magic: &[u8]| {
        let mut bytes = vec![0; 1 << 20];
        bytes[offset..offset + magic.len()].copy_from_slice(magic);
        bytes
    };
    let others = [
        ("ext2, ext3 or ext4 image", fs::read(&ext4).unwrap()),
        ("EROFS image", head(1024, b"\xe2\xe1\xf5\xe0")),
        ("btrfs image", head(0x1_0040, b"_BHRfS_M")),
        ("ISO 9660 image", head(0x8001, b"CD001")),
        ("boot sector", head(510, b"\x55\xaa")),
        ("squashfs image", head(0, b"hsqs")),
        ("LUKS", head(0, b"LUKS\xba\xbe\0\x02")),
        ("physical volume of LVM", head(512, b"LABELONE")),
        ("swap space", head(4086, b"SWAPSPACE2")),
        ("VHD disk image", head(0, b"conectix")),
        ("compressed once more", compressed(&ext4, "gzip -1c")),
        ("compressed once more", compressed(&ext4, "zstd -qc")),
        ("something else stands behind", head(900_000, b"x")),
    ];
    for (name, bytes) in others {
        let path = scratch.path().join("stream");
        fs::write(&path, &bytes).unwrap();
        packs(&path).fails_with(1, name).one_line();
        assert!(!path.with_extension("image").exists());
        shell(r#"gzip -1 <"$0" | tar2ext4 -o "$0.image""#).arg(&path).run().fails_with(1, name).one_line();
        let stacked = Filter::oci_flatten().args(["-n", "-l"]).arg(&path).run();
        assert!(stacked.fails_with(1, name).one_line().stdout.is_empty());
        let layer = flattens(scratch.path(), &bytes, EROFS).fails_with(1, name).one_line().says(EROFS);
        assert!(layer.stdout.is_empty());
    }
}

#[test]
fn a_layer_of_another_type_is_a_tar_only_where_it_begins_as_one() {
    let scratch = scratch();
    let archive = tar(&items("file a \"content\\n\""));
    flattens(scratch.path(), &archive, EROFS).succeeds().quiet();
    flattens(scratch.path(), &[0; 1024], EROFS).fails_with(1, "its media type names no tar").says(EROFS).one_line();
    flattens(scratch.path(), &[0; 1024], "application/vnd.oci.image.layer.v1.tar").succeeds().quiet();
}

#[test]
fn an_image_in_an_archive_is_packed_with_a_warning() {
    let scratch = scratch();
    for (names, warned) in [
        ("file oci-layout\nfile index.json\ndir blobs", true),
        ("file 0a1b/layer.tar\nfile manifest.json", true),
        ("file images/oci-layout\nfile images/index.json", false),
    ] {
        let path = scratch.path().join("archive");
        fs::write(&path, tar(&items(names))).unwrap();
        let ran = packs(&path).succeeds();
        if warned { drop(ran.says("oci-fetch ARCHIVE | oci-flatten | tar2ext4")) } else { drop(ran.quiet()) }
    }
}
