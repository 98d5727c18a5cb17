//! Archives and layers, as `oci-flatten` and `tar2ext4` read them.

use std::fs;

use super::tars::{each, extension, file, header, member, padded, record, sealed};
use super::{FLATTEN, PACK, grows_in_proportion};

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
    ("names behind targets of slashes", 400, |n| {
        let links = each(40, |at| member(&format!("l{at}"), b'2', &format!("{}l{}", "/".repeat(4000), at + 1), b""));
        let names = each(n, |at| [file(&format!("l0/{at}")), member("s", b'2', "x", b"")].concat());
        vec![[member("l40/", b'5', "", b""), links].concat(), names]
    }),
    ("long names that come and go", 1500, |n| {
        let link = member("s", b'2', &format!("d/{}", "n".repeat(4000)), b"");
        vec![[link, each(n, |_| [file("s/x"), file("d")].concat())].concat()]
    }),
    ("links to a long name behind symlinks", 500, |n| {
        let part = vec!["a".repeat(250); 15].join("/");
        let before = |at: usize| if at == 0 { String::new() } else { format!("z{at}/") };
        let links = each(15, |at| member(&format!("z{}", at + 1), b'2', &format!("{}{part}", before(at)), b""));
        let long = format!("{}/f", vec![&*part; 15].join("/"));
        vec![[file(&long), links, each(n, |at| member(&format!("h{at}"), b'1', "z15/f", b""))].concat()]
    }),
    ("global names and targets", 2000, |n| {
        let global = extension(b'g', &record("linkpath", &[b'x'; 4000]));
        vec![[global, each(n, |at| member(&at.to_string(), b'2', "y", b""))].concat()]
    }),
    ("global attributes of all", 500, |n| {
        let global = extension(b'g', &each(400, |at| record(&format!("SCHILY.xattr.c.{at}"), b"")));
        vec![[global, each(n, |at| file(&at.to_string()))].concat()]
    }),
    ("global attributes that are said again", 1000, |n| {
        let global = extension(b'g', &each(880, |at| record(&format!("SCHILY.xattr.user.{at}"), b"")));
        let again = each(n, |at| extension(b'g', &record("RHT.security.selinux", at.to_string().as_bytes())));
        vec![[global, again, each(n, |_| extension(b'g', &record("comment", b"x"))), file("f")].concat()]
    }),
    ("sparse files of many small segments", 50, |n| {
        let map = (0..1000).map(|at| format!("{},1", at * 8192)).collect::<Vec<_>>().join(",");
        let records = [record("GNU.sparse.size", b"8192000"), record("GNU.sparse.map", map.as_bytes())].concat();
        vec![each(n, |at| [extension(b'x', &records), member(&at.to_string(), b'0', "", &[b'x'; 1000])].concat())]
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
    ("an ACL of many entries", 1500, |n| {
        let text = each(n, |at| format!("user:{at}:rwx,").into_bytes());
        let text = [b"user::rwx,group::r-x,mask::rwx,other::---,", &text[..]].concat();
        vec![[extension(b'x', &record("SCHILY.acl.access", &text)), file("f")].concat()]
    }),
    ("numbers of many digits", 200_000, |n| {
        let zeros = "0".repeat(n);
        let records = ["mtime", "uid", "gid", "size"].map(|keyword| {
            let fraction = if keyword == "mtime" { ".7" } else { "" };
            record(keyword, format!("{zeros}{fraction}{zeros}").as_bytes())
        });
        vec![[extension(b'x', &records.concat()), file("f")].concat()]
    }),
    ("names before names", 20_000, |n| vec![[each(n, |at| extension(b"LK"[at % 2], b"name\0")), file("f")].concat()]),
    ("records that say the same", 40_000, |n| {
        vec![[extension(b'x', &each(n, |at| record("path", at.to_string().as_bytes()))), file("f")].concat()]
    }),
    ("a sparse map in two records a segment", 20_000, |n| {
        let map = each(n, |at| {
            let offset = record("GNU.sparse.offset", (at * 1024).to_string().as_bytes());
            [offset, record("GNU.sparse.numbytes", b"512")].concat()
        });
        vec![sparse(&[record("GNU.sparse.numblocks", n.to_string().as_bytes()), map].concat(), n)]
    }),
    ("a sparse map in a record", 20_000, |n| {
        let map = (0..n).map(|at| format!("{},512", at * 1024)).collect::<Vec<_>>().join(",");
        vec![sparse(&record("GNU.sparse.map", map.as_bytes()), n)]
    }),
    ("an old sparse map", 20_000, |n| {
        let segment = |at: usize| format!("{:011o}\0{:011o}\0", at * 1024, 512).into_bytes();
        let mut first = header("f", b'S', "", n * 512);
        first[257..265].copy_from_slice(b"ustar  \0");
        first[386..482].copy_from_slice(&(0..4).flat_map(segment).collect::<Vec<u8>>());
        first[482] = b'1';
        first[483..495].copy_from_slice(format!("{:011o}\0", n * 1024).as_bytes());
        let rest = (4..n).step_by(21).flat_map(|from| {
            let mut block = (from..n.min(from + 21)).flat_map(segment).collect::<Vec<u8>>();
            block.resize(512, 0);
            block[504] = u8::from(from + 21 < n);
            block
        });
        let map = rest.collect();
        vec![[sealed(first), map, vec![b'x'; n * 512]].concat()]
    }),
    ("directories in a directory", 5000, |n| vec![each(n, |at| member(&format!("d{at}/"), b'5', "", b""))]),
    ("deep directories", 1200, |n| {
        // Each name is as long as a path may be, so that four times as many are no deeper.
        vec![each(n, |at| file(&format!("{}{at}", "d/".repeat(400))))]
    }),
    ("attributes of every inode", 4000, |n| {
        let value = |at: usize| [at.to_string().as_bytes(), &[b'v'; 200]].concat();
        vec![each(n, |at| {
            [extension(b'x', &record("SCHILY.xattr.user.a", &value(at))), file(&at.to_string())].concat()
        })]
    }),
    ("names of one inode", 10_000, |n| {
        vec![[file("f"), each(n, |at| member(&format!("h{at}"), b'1', if at == 0 { "f" } else { "h0" }, b""))].concat()]
    }),
    ("links to links to links", 10_000, |n| {
        let target = |at: usize| if at == 0 { "f".to_owned() } else { format!("h{}", at - 1) };
        vec![[file("f"), each(n, |at| member(&format!("h{at}"), b'1', &target(at), b""))].concat()]
    }),
    ("opaque directories below each other", 2000, |n| {
        let lower = each(n, |at| file(&format!("d{at}/e/f")));
        let upper =
            each(n, |at| [file(&format!("d{at}/.wh..wh..opq")), file(&format!("d{at}/e/.wh..wh..opq"))].concat());
        vec![lower, upper]
    }),
    ("layers that hide each other", 60, |n| {
        (0..n).map(|at| each(40, |name| file(&format!("d/{}{name}", if at % 2 == 0 { "" } else { ".wh." })))).collect()
    }),
    ("layers that replace a tree", 40, |n| {
        (0..n).map(|at| if at % 2 == 0 { each(60, |name| file(&format!("d/e/{name}"))) } else { file("d") }).collect()
    }),
];

/// What an upper directory over the lowest layer needs (F17).
#[test]
fn uppers() {
    for (name, n, hostile) in HOSTILE {
        if hostile(2).len() > 1 {
            grows_in_proportion(&format!("above the base, {name}"), *n, |directory, n| {
                let layers = hostile(n).into_iter().enumerate().map(|(at, layer)| {
                    fs::write(directory.join(format!("{at}.tar")), [layer, vec![0; 1024]].concat()).unwrap();
                    format!(" -l {at}.tar")
                });
                format!("{FLATTEN} --from 1{}", layers.collect::<String>())
            });
        }
    }
}

#[test]
fn archives() {
    for (name, n, hostile) in HOSTILE {
        for filter in [FLATTEN, PACK] {
            grows_in_proportion(name, *n, |directory, n| {
                let layers = if filter == PACK { vec![hostile(n).concat()] } else { hostile(n) };
                let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
                for (name, layer) in names.iter().zip(layers) {
                    fs::write(directory.join(name), [layer, vec![0; 1024]].concat()).unwrap();
                }
                let flag = if filter == FLATTEN { " -l " } else { " " };
                names.iter().fold(filter.to_owned(), |command, name| command + flag + name)
            });
        }
    }
}

/// A file with `n` segments of 512 bytes, 1,024 apart.
fn sparse(map: &[u8], n: usize) -> Vec<u8> {
    let size = record("GNU.sparse.size", (n * 1024).to_string().as_bytes());
    [extension(b'x', &[size, map.to_vec()].concat()), member("f", b'0', "", &vec![b'x'; n * 512])].concat()
}

/// Forty symlinks, each with a target that goes to and fro before it leads to the next.
fn long_way() -> Vec<u8> {
    let to_and_fro = "d/../".repeat(700);
    let links = each(40, |at| member(&format!("l{at}"), b'2', &format!("{to_and_fro}l{}", at + 1), b""));
    [member("d/", b'5', "", b""), member("l40/", b'5', "", b""), links].concat()
}
