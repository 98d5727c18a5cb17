//! Bombs in tars.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Bomb;
use crate::support::script::{Item, What};
use crate::support::stack::{tar, tar_without_end};
use crate::support::{Filter, debugfs, e2fsck_clean, scratch, shell, tool};

fn item(name: impl Into<Vec<u8>>, what: What) -> Item {
    Item { name: name.into(), what, mode: 0o644, owner: (0, 0), mtime: (0, 0), xattrs: Vec::new() }
}

/// A header for what no honest archive holds; GNU's, whose sizes may be larger than octal digits hold.
fn header(name: &str, flag: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn file(directory: &Path, bytes: &[u8]) -> PathBuf {
    let path = directory.join("bomb.tar");
    fs::write(&path, bytes).unwrap();
    path
}

const PACK: &str = r#"tar2ext4 -o "$0" "$1""#;
const FLATTEN: &str = r#"oci-flatten -n -l "$0""#;

#[test]
fn a_sparse_file_of_10_tb() {
    let scratch = scratch();
    let size = 10 << 40;
    let archive = file(scratch.path(), &tar(&[item("big", What::Sparse(size, vec![(size - 1, b"x".to_vec())]))]));
    let (image, flat) = (scratch.path().join("image"), scratch.path().join("flat.tar"));
    let bomb = Bomb::in_directory(scratch.path());
    bomb.run(PACK, &[&image, &archive]).succeeds().quiet();
    e2fsck_clean(&image);
    assert!(debugfs(&image, "stat /big").contains(&format!("Size: {size}")));

    let flattened = bomb.run(&format!("{FLATTEN} >\"$1\""), &[&archive, &flat]).succeeds().quiet();
    assert!(flattened.stdout.is_empty());
    assert!(fs::metadata(&flat).unwrap().len() < 16 << 10);
    let listed = tool("tar", ["-tvf".as_ref(), flat.as_os_str()]);
    assert!(listed.text().contains(&format!(" {size} ")), "{}", listed.report());
    bomb.run(PACK, &[&image, &flat]).succeeds().quiet();
    e2fsck_clean(&image);
}

/// Bytes that are not zero, so that they cannot become holes: 2 GiB from 9 MB.
#[test]
fn a_gzip_bomb_into_an_image_of_given_size() {
    let scratch = scratch();
    let archive = scratch.path().join("bomb.tar.gz");
    let size = 2_u64 << 30;
    let mut gzip = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::fast());
    gzip.write_all(&header("bomb", b'0', size)).unwrap();
    for _ in 0..size >> 20 {
        gzip.write_all(&[b'A'; 1 << 20]).unwrap();
    }
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap();
    let image = scratch.path().join("image");
    fs::write(&image, "old").unwrap();
    let bomb = Bomb { seconds: 60.0, ..Bomb::in_directory(scratch.path()) };
    let ran = bomb.run(r#"tar2ext4 --size 1G -o "$0" "$1""#, &[&image, &archive]);
    let ran = ran.fails_with(1, "no space: the image needs ");
    let needed: u64 = ran.stderr.split("needs ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(needed > size && needed < size + (16 << 20), "{needed}");
    assert_eq!(fs::read(&image).unwrap(), b"old");
}

/// What is far too much is not decompressed to its end only to name its size.
#[test]
#[ignore = "check-full: half a minute of decompression"]
fn an_endless_zstd_bomb_is_not_read_to_its_end() {
    let scratch = scratch();
    let archive = scratch.path().join("bomb.tar.zst");
    // 64 times the image; a frame that repeats one byte is a few bytes for each 128 KiB.
    let size = 64_u64 << 30;
    let mut zstd = zstd::Encoder::new(BufWriter::new(File::create(&archive).unwrap()), 1).unwrap();
    zstd.write_all(&header("bomb0", b'0', 4 << 30)).unwrap();
    for number in 1..=size >> 32 {
        for _ in 0..4 << 10 {
            zstd.write_all(&[b'A'; 1 << 20]).unwrap();
        }
        zstd.write_all(&header(&format!("bomb{number}"), b'0', 4 << 30)).unwrap();
    }
    zstd.finish().unwrap().flush().unwrap();
    let image = scratch.path().join("image");
    let bomb = Bomb { seconds: 120.0, ..Bomb::in_directory(scratch.path()) };
    let ran = bomb.run(r#"tar2ext4 --size 1G -o "$0" "$1""#, &[&image, &archive]);
    ran.fails_with(1, "no space: the image needs more than 17179869184 bytes, its size is 1073741824").one_line();
    assert!(!image.exists());
}

/// The memory for decoding is the archive's choice, up to a bound.
#[test]
fn a_zstd_window_of_2_gib() {
    let scratch = scratch();
    let archive = scratch.path().join("bomb.tar.zst");
    let script = r#"{ head -c 200000000 /dev/zero; } | zstd -q --ultra -1 --long=31 >"$0""#;
    shell(script).arg(&archive).run().succeeds();
    let bomb = Bomb::in_directory(scratch.path());
    bomb.run(PACK, &[&scratch.path().join("image"), &archive])
        .fails_with(1, "takes more than 128 MiB of memory")
        .one_line();
    bomb.run(FLATTEN, &[&archive]).fails_with(1, "takes more than 128 MiB of memory").one_line();
}

#[test]
fn a_pax_record_of_8_gb() {
    let scratch = scratch();
    let mut record = b"8589934592 path=a\n".to_vec();
    record.resize(512, 0);
    let rest = [header("f", b'0', 0), vec![0; 1024]].concat();
    let bomb = Bomb::in_directory(scratch.path());
    for (size, says) in [(512, "record of 8589934592 bytes does not fit"), (8 << 30, "too long")] {
        let archive = file(scratch.path(), &[header("pax", b'x', size), record.clone(), rest.clone()].concat());
        bomb.run(PACK, &[&scratch.path().join("image"), &archive]).fails_with(1, says).one_line();
        bomb.run(FLATTEN, &[&archive]).fails_with(1, says).one_line();
    }
}

/// What is too much anyway is not held first.
#[test]
fn a_pax_header_of_a_million_attributes() {
    let scratch = scratch();
    let bomb = Bomb::in_directory(scratch.path());
    for record in [&b"21 SCHILY.xattr.ab=x\n"[..], b"25 LIBARCHIVE.xattr.a=eA\n"] {
        let records = record.repeat((16 << 20) / record.len() - 1);
        let mut bytes = header("pax", b'x', records.len() as u64);
        bytes.extend(records);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(header("f", b'0', 0));
        bytes.extend([0; 1024]);
        let archive = file(scratch.path(), &bytes);
        let says = "more than 65536 bytes of names";
        bomb.run(PACK, &[&scratch.path().join("image"), &archive]).fails_with(1, says).one_line();
        bomb.run(FLATTEN, &[&archive]).fails_with(1, says).one_line();
    }
}

#[test]
fn ten_thousand_nested_directories() {
    let scratch = scratch();
    let deepest = ["d/".repeat(10_000), "f".into()].concat();
    // One entry implies all of them.
    let archive = file(scratch.path(), &tar(&[item(deepest, What::File(b"x".to_vec()))]));
    let (image, flat) = (scratch.path().join("image"), scratch.path().join("flat.tar"));
    let bomb = Bomb::in_directory(scratch.path());
    bomb.run(PACK, &[&image, &archive]).succeeds().quiet();
    e2fsck_clean(&image);
    bomb.run(&format!("{FLATTEN} >\"$1\""), &[&archive, &flat]).succeeds().quiet();
    // Every directory by its whole name: that is what a tar of them holds.
    bomb.run(PACK, &[&image, &flat]).succeeds().quiet();
    e2fsck_clean(&image);
    let used = Filter::tool("e2fsck").arg("-fn").arg(&image).run().succeeds();
    assert!(used.text().contains(": 10012/"), "{}", used.report());
}

/// Names with many directories: of a megabyte each, of as much as is read, and many that are shorter.
#[test]
fn directories_that_names_imply() {
    let scratch = scratch();
    let bomb = Bomb::in_directory(scratch.path());
    for (names, depth, says) in [
        (20, 500_000, "bytes is too long, 65536 are allowed"),
        (20, 32_000, "the paths of missing parents and behind symlinks are too long"),
        (250, 400, "too many missing parent directories"),
    ] {
        let archive = scratch.path().join("bomb.tar.gz");
        let mut gzip = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::best());
        for number in 0..names {
            let name = format!("{number}/{}f", "d/".repeat(depth));
            gzip.write_all(&tar_without_end(&[item(name, What::File(Vec::new()))])).unwrap();
        }
        gzip.write_all(&[0; 1024]).unwrap();
        gzip.finish().unwrap();
        for refused in [bomb.run(PACK, &[&scratch.path().join("image"), &archive]), bomb.run(FLATTEN, &[&archive])] {
            let refused = refused.fails_with(1, says).one_line();
            assert!(refused.stderr.len() < 2000, "a message of {} bytes", refused.stderr.len());
        }
    }
    // Honest archives leave parents out too, with many names for each.
    let items = (0..20_000).map(|n| item(format!("a{n}/b/c/d/e"), What::File(Vec::new()))).collect::<Vec<_>>();
    let image = scratch.path().join("image");
    bomb.run(PACK, &[&image, &file(scratch.path(), &tar(&items))]).succeeds().quiet();
    e2fsck_clean(&image);
}

#[test]
fn a_million_hard_links() {
    let scratch = scratch();
    let archive = scratch.path().join("bomb.tar");
    let mut out = BufWriter::new(File::create(&archive).unwrap());
    out.write_all(&tar_without_end(&[item("f", What::File(b"x".to_vec()))])).unwrap();
    for number in 0..1_000_000 {
        out.write_all(&tar_without_end(&[item(format!("l/{number:07}"), What::Link(b"f".to_vec()))])).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.flush().unwrap();
    drop(out);
    let (image, flat) = (scratch.path().join("image"), scratch.path().join("flat.tar"));
    // 300 bytes an entry (S5).
    let bomb = Bomb { memory_kib: 300 << 10, seconds: 60.0, ..Bomb::in_directory(scratch.path()) };
    bomb.run(PACK, &[&image, &archive]).fails_with(1, "1000001 hard links, ext4 allows 65000").one_line();
    assert!(!image.exists());
    bomb.run(&format!("{FLATTEN} >\"$1\""), &[&archive, &flat]).succeeds().quiet();
    let listed = shell(r#"tar -tvf "$0" | grep -c "link to f""#).arg(&flat).run().succeeds();
    assert_eq!(listed.text(), "1000000\n");
}

/// A link of a few bytes to a name of 60 KB, by way of symlinks: each would be 60 KB of the result.
#[test]
fn hard_links_to_a_name_that_is_long_behind_symlinks() {
    let scratch = scratch();
    let part = vec!["a".repeat(250); 15].join("/");
    let mut items = vec![item(vec![&*part; 15].join("/") + "/f", What::File(b"x".to_vec()))];
    for number in 1..=15 {
        let before = if number == 1 { String::new() } else { format!("z{}/", number - 1) };
        items.push(item(format!("z{number}"), What::Symlink((before + &part).into())));
    }
    items.extend((0..20_000).map(|number| item(format!("l{number}"), What::Link(b"z15/f".to_vec()))));
    let archive = file(scratch.path(), &tar(&items));
    let image = scratch.path().join("image");
    let bomb = Bomb::in_directory(scratch.path());
    bomb.run(PACK, &[&image, &archive]).succeeds().quiet();
    e2fsck_clean(&image);
    let refused = bomb.run(&format!("{FLATTEN} >/dev/null"), &[&archive]);
    let refused = refused.fails_with(1, "the names that hard links lead to are too long").one_line();
    assert!(refused.stderr.contains(": l"), "{}", refused.stderr);
    // Nor as what has to stand above another layer.
    let base = scratch.path().join("base.tar");
    fs::write(&base, tar(&[item("base", What::Dir)])).unwrap();
    let above = r#"oci-flatten --from 1 -n -l "$0" -l "$1" >/dev/null"#;
    bomb.run(above, &[&base, &archive]).fails_with(1, "the names that hard links lead to are too long").one_line();
}

#[test]
fn as_many_hard_links_as_ext4_has() {
    let scratch = scratch();
    let mut items = vec![item("f", What::File(b"x".to_vec()))];
    items.extend((1..65_000).map(|number| item(format!("l{number}"), What::Link(b"f".to_vec()))));
    let archive = file(scratch.path(), &tar(&items));
    let image = scratch.path().join("image");
    Bomb::in_directory(scratch.path()).run(PACK, &[&image, &archive]).succeeds().quiet();
    e2fsck_clean(&image);
    assert!(debugfs(&image, "stat /f").contains("Links: 65000"));
}

#[test]
fn a_symlink_to_100_mb() {
    let scratch = scratch();
    let target = vec![b'x'; 100 << 20];
    let bomb = Bomb::in_directory(scratch.path());
    let link = header("s", b'2', 0);
    let record = [b"104857620 linkpath=".to_vec(), target.clone(), b"\n".to_vec()].concat();
    for (flag, body) in [(b'K', target), (b'x', record)] {
        let mut bytes = header("././@LongLink", flag, body.len() as u64);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(&link);
        bytes.extend([0; 1024]);
        let archive = file(scratch.path(), &bytes);
        bomb.run(PACK, &[&scratch.path().join("image"), &archive]).fails_with(1, "too long").one_line();
        bomb.run(FLATTEN, &[&archive]).fails_with(1, "too long").one_line();
    }
}
