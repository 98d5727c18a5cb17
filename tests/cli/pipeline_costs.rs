//! What the pipeline costs, as ratios and bounds that hold on any machine.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::support::{Compression, Layout, PeakMemory, e2fsck_clean, least_costs, processor_seconds, scratch, shell};

/// Peak memory that no filter may reach on an image of 1 GiB.
const PEAK_KIB: u64 = 100_000;

#[test]
fn memory_does_not_grow_with_the_image() {
    let scratch = scratch();
    let tar = scratch.path().join("layer.tar");
    let mut layout = Layout::new(scratch.path().join("layout"));
    for (number, compression) in [Compression::Gzip, Compression::Zstd, Compression::Gzip].into_iter().enumerate() {
        large_layer(&tar, number as u64);
        layout = layout.layer_file(&tar, compression);
    }
    std::fs::remove_file(&tar).unwrap();
    let layout = layout.finish();

    let rootfs = scratch.path().join("rootfs.ext4");
    let peaks = PeakMemory::new(scratch.path());
    let script = format!(
        "{} oci-fetch \"oci:$0\" | {} oci-flatten | {} tar2ext4 -o \"$1\"",
        peaks.of("fetch"),
        peaks.of("flatten"),
        peaks.of("pack")
    );
    shell(&script).arg(&layout).arg(&rootfs).run().succeeds();
    e2fsck_clean(&rootfs);
    assert!(std::fs::metadata(&rootfs).unwrap().len() > 1 << 30, "the image is smaller than it should be");
    for name in ["fetch", "flatten", "pack"] {
        let peak = peaks.kib(name);
        println!("{name}: {} MiB", peak / 1024);
        assert!(peak < PEAK_KIB, "{name} took {peak} KiB");
    }
}

/// A tar of about 350 MiB: one file of 200 MiB, and 150 MiB in files of all sizes.
fn large_layer(path: &Path, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path).unwrap()));
    // Neither all noise nor all pattern, so that the compressors have work and find something.
    let pool: Vec<u8> =
        (0..1 << 20).map(|at| if at & 0x100 == 0 { random.u8(..) } else { random.u8(b'a'..b'e') }).collect();
    let mut append = |name: String, size: usize, random: &mut fastrand::Rng| {
        let mut content = Vec::with_capacity(size);
        while content.len() < size {
            let start = random.usize(..pool.len() / 2);
            let length = (size - content.len()).min(pool.len() / 2);
            content.extend_from_slice(&pool[start..start + length]);
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, &content[..]).unwrap();
    };
    append(format!("layer{seed}/large"), 200 << 20, &mut random);
    let mut left = 150usize << 20;
    let mut number = 0;
    while left > 0 {
        let scale = random.usize(1..23);
        let size = random.usize(..1 << scale).min(left);
        append(format!("layer{seed}/d{}/f{number}", number % 97), size, &mut random);
        left -= size.max(1);
        number += 1;
    }
    tar.into_inner().unwrap().flush().unwrap();
}

#[test]
fn a_directory_of_many_files_costs_in_proportion() {
    let scratch = scratch();
    let (small, large) = (layout_of_files(scratch.path(), 20_000), layout_of_files(scratch.path(), 80_000));
    let rootfs = scratch.path().join("rootfs.ext4");
    let pipeline = r#"oci-fetch "oci:$1" | oci-flatten | tar2ext4 -o "$2""#;
    let cost = |layout: &Path| processor_seconds(pipeline, &[layout, &rootfs]);
    let (few, many) = least_costs(|| cost(&small), || cost(&large));
    e2fsck_clean(&rootfs);
    println!("20,000 files: {few:.2} s of processor time, 80,000 files: {many:.2} s, ratio {:.2}", many / few);
    assert!(many < few * 5.0, "20,000 files take {few:.2} s, 80,000 take {many:.2} s");
}

/// An image with `count` small files in one directory.
fn layout_of_files(directory: &Path, count: usize) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..count {
        let content = format!("file number {number}\n");
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, format!("many/package-{number:05}.json"), content.as_bytes()).unwrap();
    }
    let layout = Layout::new(directory.join(format!("layout-{count}")));
    layout.layer(&tar.into_inner().unwrap(), Compression::Gzip).finish()
}
