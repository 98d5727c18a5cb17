//! What hostile archives cost at one size and at four times that size: neither processor time nor peak memory may grow
//! more than five times (S5). Refused archives count too: they cost until they are refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Filter, needs, scratch, shell};

/// The most that four times as much may cost.
const RATIO: f64 = 5.0;
/// Costs below these are those of starting a process.
const SECONDS: f64 = 0.08;
const KIB: f64 = 8192.0;

/// Layers, bottom first, as the tars of a hostile mind of some size.
type Hostile = fn(usize) -> Vec<Vec<u8>>;

const HOSTILE: &[(&str, usize, Hostile)] = &[
    ("whiteouts with long paths", 150, |n| {
        let deep = "a/".repeat(2000);
        vec![each(n, |at| member(&format!("{at}/{deep}.wh.x"), b'0', "", b""))]
    }),
    ("a whiteout with a long path", 7000, |n| vec![member(&format!("{}.wh.x", "a/".repeat(n)), b'0', "", b"")]),
    ("whiteouts of what is behind symlinks", 1500, |n| vec![long_way(), each(n, |at| file(&format!("l0/.wh.{at}")))]),
    ("names behind symlinks", 1500, |n| vec![long_way(), each(n, |at| file(&format!("l0/{at}")))]),
    ("names behind symlinks that change", 400, |n| {
        vec![long_way(), each(n, |at| [file(&format!("l0/{at}")), member("s", b'2', "x", b"")].concat())]
    }),
    ("links behind symlinks", 1500, |n| {
        vec![
            long_way(),
            each(n, |at| {
                [file(&format!("l0/{at}")), member(&format!("h{at}"), b'1', &format!("l0/{at}"), b"")].concat()
            }),
        ]
    }),
    ("attributes of both kinds", 2500, |n| {
        let records = each(n, |at| {
            [record(&format!("SCHILY.xattr.u.{at}"), b"x"), record(&format!("LIBARCHIVE.xattr.u.{at}"), b"eA")].concat()
        });
        vec![[extension(b'x', &records), file("f")].concat()]
    }),
    ("global attributes of both kinds", 1500, |n| {
        let records = each(450, |_| [record("LIBARCHIVE.xattr.b", b""), record("SCHILY.xattr.a", b"")].concat());
        vec![[extension(b'g', &records), each(n, |at| file(&at.to_string()))].concat()]
    }),
    ("global attributes and own ones", 300, |n| {
        let global = extension(b'g', &record("SCHILY.xattr.user.a", &[b'x'; 60_000]));
        let own = |at: usize| extension(b'x', &record("SCHILY.xattr.user.b", at.to_string().as_bytes()));
        vec![[global, each(n, |at| [own(at), file(&at.to_string())].concat())].concat()]
    }),
    ("empty extended headers", 20_000, |n| vec![[each(n, |_| extension(b'x', b"")), file("f")].concat()]),
    ("long names", 250, |n| vec![each(n, |at| member(&format!("{at}{}", "x".repeat(60_000)), b'0', "", b""))]),
    ("long targets", 250, |n| {
        vec![each(n, |at| member(&at.to_string(), b'2', &format!("{at}{}", "x".repeat(60_000)), b""))]
    }),
    ("a sparse map", 20_000, |n| {
        let map: Vec<u8> = format!("{n}\n")
            .into_bytes()
            .into_iter()
            .chain(each(n, |at| format!("{}\n1\n", at * 1024).into_bytes()))
            .collect();
        let data = [padded(map), vec![b'x'; n]].concat();
        let records = [("major", "1"), ("minor", "0"), ("name", "f"), ("realsize", &(n * 1024).to_string())];
        let records =
            records.map(|(keyword, value)| record(&format!("GNU.sparse.{keyword}"), value.as_bytes())).concat();
        vec![[extension(b'x', &records), member("f", b'0', "", &data)].concat()]
    }),
    ("a deep name and shallow ones", 10_000, |n| {
        vec![[file(&format!("{}f", "d/".repeat(n / 2))), each(n, |at| file(&at.to_string()))].concat()]
    }),
    ("links before their targets", 10_000, |n| {
        vec![each(n, |at| member(&format!("h{at}"), b'1', &format!("h{}", at + 1), b"")), file(&format!("h{n}"))]
            .into_iter()
            .collect::<Vec<_>>()
    }),
    ("directories that are replaced", 10_000, |n| {
        vec![each(n, |at| [file("d/e/f"), if at % 2 == 0 { file("d/e") } else { file("d") }].concat())]
    }),
    ("entries in place of what was hidden", 4000, |n| {
        let lower = each(n, |at| file(&format!("d/e/{at}")));
        let upper = each(n, |at| {
            [file(&format!("d/e/{at}")), member(&format!("h{at}"), b'1', &format!("d/e/{}", n - 1), b"")].concat()
        });
        vec![lower, [file("d/.wh..wh..opq"), file(".wh.d"), upper].concat()]
    }),
];

#[test]
fn four_times_the_input_costs_at_most_five_times() {
    let scratch = scratch();
    let idle = [FLATTEN, PACK].map(|filter| cost(scratch.path(), filter, &[vec![]]));
    let mut failures = Vec::new();
    for (name, n, hostile) in HOSTILE {
        for (filter, idle) in [FLATTEN, PACK].into_iter().zip(idle) {
            let layers = |n: usize| if filter == PACK { vec![hostile(n).concat()] } else { hostile(n) };
            let (few, many) = (layers(*n), layers(4 * n));
            let ratio = |few: f64, many: f64, idle: f64, floor: f64| (many - idle) / (few - idle).max(floor);
            let (mut least, mut least_of_many) = ((f64::MAX, f64::MAX), (f64::MAX, f64::MAX));
            let (mut time, mut memory) = (f64::MAX, f64::MAX);
            // Other tests may be in the way of some rounds.
            for _ in 0..4 {
                let min = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.min(b.1));
                least = min(least, cost(scratch.path(), filter, &few));
                least_of_many = min(least_of_many, cost(scratch.path(), filter, &many));
                time = ratio(least.0, least_of_many.0, idle.0, SECONDS);
                memory = ratio(least.1, least_of_many.1, idle.1, KIB);
                if time <= RATIO && memory <= RATIO {
                    break;
                }
            }
            let (few, many) = (least, least_of_many);
            let line = format!(
                "{name}, {}: {:.2} s and {:.0} KiB at {n}, {:.2} s and {:.0} KiB at {}: {time:.1} and {memory:.1} times",
                if filter == PACK { "tar2ext4" } else { "oci-flatten" },
                few.0,
                few.1,
                many.0,
                many.1,
                4 * n
            );
            println!("{line}");
            if time > RATIO || memory > RATIO {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

const FLATTEN: &str = "oci-flatten -q -n";
const PACK: &str = "tar2ext4 -q -o image";

/// Seconds of processor time and KiB of peak memory; whether the layers are taken does not matter, but a signal does.
fn cost(directory: &Path, filter: &str, layers: &[Vec<u8>]) -> (f64, f64) {
    needs(&["time"]);
    let paths: Vec<PathBuf> = (0..layers.len()).map(|at| directory.join(format!("{at}.tar"))).collect();
    let mut script = format!("cd \"$0\"; exec time -f '%U %S %M' -o measured {filter}");
    for (path, layer) in paths.iter().zip(layers) {
        fs::write(path, [layer, &[0; 1024][..]].concat()).unwrap();
        script +=
            &format!(" {} {}", if filter == FLATTEN { "-l" } else { "" }, path.file_name().unwrap().to_str().unwrap());
    }
    let ran = Filter::arg(shell(&(script + " >/dev/null")), directory).run();
    assert!(ran.status.code().is_some_and(|code| code < 2), "{}", ran.report());
    let text = fs::read_to_string(directory.join("measured")).unwrap();
    // Its last line; the one before says when the command failed.
    let numbers: Vec<f64> =
        text.lines().next_back().unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    (numbers[0] + numbers[1], numbers[2])
}

fn each(n: usize, part: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..n).flat_map(part).collect()
}

/// Forty symlinks, each with a target that goes to and fro before it leads to the next.
fn long_way() -> Vec<u8> {
    let to_and_fro = "d/../".repeat(700);
    let links = each(40, |at| member(&format!("l{at}"), b'2', &format!("{to_and_fro}l{}", at + 1), b""));
    [member("d/", b'5', "", b""), member("l40/", b'5', "", b""), links].concat()
}

fn file(name: &str) -> Vec<u8> {
    member(name, b'0', "", b"")
}

/// A member, with an extended header for what its own has no room for.
fn member(name: &str, flag: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let long = [("path", name), ("linkpath", link)].map(|(keyword, text)| match text.len() {
        0..=100 => Vec::new(),
        _ => record(keyword, text.as_bytes()),
    });
    let long = long.concat();
    let before = if long.is_empty() { Vec::new() } else { extension(b'x', &long) };
    [before, header(name, flag, link, data.len()), padded(data.to_vec())].concat()
}

fn extension(flag: u8, records: &[u8]) -> Vec<u8> {
    [header("extended", flag, "", records.len()), padded(records.to_vec())].concat()
}

fn record(keyword: &str, value: &[u8]) -> Vec<u8> {
    let rest = keyword.len() + value.len() + 3;
    let len = (1..).find(|len| rest + len.to_string().len() == *len).unwrap();
    [format!("{len} {keyword}=").as_bytes(), value, b"\n"].concat()
}

fn header(name: &str, flag: u8, link: &str, size: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    for (field, text) in [(&mut old.name, name), (&mut old.linkname, link)] {
        let len = text.len().min(field.len());
        field[..len].copy_from_slice(&text.as_bytes()[..len]);
    }
    header.set_mode(0o644);
    header.set_size(size as u64);
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
