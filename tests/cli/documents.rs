//! Manual pages, help and completions say what the filters do, no more and no less.

use std::collections::BTreeSet;
use std::fs;

use clap::{Command, CommandFactory};
use oci2ext4::cli::{OciFetch, OciFlatten, Tar2ext4};

use crate::support::{Filter, assert_text, needs, repository, scratch, shell, tool};

fn commands() -> [Command; 3] {
    [OciFetch::command(), OciFlatten::command(), Tar2ext4::command()].map(|mut command| {
        command.build();
        command
    })
}

/// Flags as a page's list of options has them: `-o`, `--output`.
fn flags_of_page(page: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(".It Fl ")) {
        // `o , -output Ar file`, `-cert Ar file , Fl -key Ar file`: a flag at the start and after each comma.
        for part in line.split(" , ") {
            let part = part.strip_prefix("Fl ").unwrap_or(part);
            flags.insert(format!("-{}", part.split(' ').next().unwrap_or_default()));
        }
    }
    flags
}

/// Flags that a filter has: `-o`, `--output`.
fn flags_of_filter(command: &Command) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        flags.extend(argument.get_short().map(|short| format!("-{short}")));
        flags.extend(argument.get_long().map(|long| format!("--{long}")));
    }
    flags
}

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("man").join(name)).unwrap()
}

#[test]
fn every_flag_stands_in_its_manual_page_and_no_other_does() {
    for command in commands() {
        let name = command.get_name();
        let (page, flags) = (page(&format!("{name}.1")), flags_of_filter(&command));
        assert_eq!(flags_of_page(&page), flags, "man/{name}.1 and {name} --help differ");
        // A flag that is new in either of them would be noticed.
        let more = page.replace(".It Fl q , -quiet", ".It Fl q , -quiet\n.It Fl -new Ar what");
        assert!(more != page && flags_of_page(&more) != flags);
        for flag in &flags {
            let macro_flag = format!("Fl {}", &flag[1..]);
            let listed = |line: &str| line.starts_with(".It Fl ") && line.contains(&macro_flag[3..]);
            let less: Vec<&str> = page.lines().filter(|line| !listed(line)).collect();
            assert!(flags_of_page(&less.join("\n")) != flags, "{name}: nobody would miss {flag}");
        }
    }
}

#[test]
fn every_long_flag_stands_in_the_synopsis() {
    for command in commands() {
        let name = command.get_name();
        let page = page(&format!("{name}.1"));
        let synopsis = page.split(".Sh SYNOPSIS").nth(1).unwrap().split(".Sh ").next().unwrap().to_owned();
        for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let (long, short) = (argument.get_long().unwrap_or_default(), argument.get_short());
            let is_answer = ["help", "version", "completions"].contains(&long);
            let by_letter = short.is_some_and(|short| {
                synopsis.lines().any(|line| {
                    line.split("Fl ").skip(1).any(|word| {
                        let word = word.split(' ').next().unwrap_or_default();
                        !word.starts_with('-') && word.contains(short)
                    })
                })
            });
            let shown =
                by_letter || synopsis.contains(&format!("Fl -{long} ")) || synopsis.contains(&format!("Fl -{long}\n"));
            assert!(is_answer || shown, "man/{name}.1: --{long} is not in the synopsis");
        }
    }
}

#[test]
fn every_page_has_what_a_reader_looks_for() {
    let sections = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "STDIN",
        "STDOUT",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "HOW AMBIGUOUS CASES ARE DECIDED",
        "LIMITS",
        "SEE ALSO",
    ];
    for command in commands() {
        let name = format!("{}.1", command.get_name());
        let page = page(&name);
        for section in sections {
            assert!(page.contains(&format!("\n.Sh {section}\n")), "man/{name} has no section {section}");
        }
        // Rules have names in the design; readers of the pages have not read it.
        let code = page.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
            matches!(word.as_bytes(), [b'S' | b'M' | b'F' | b'T' | b'E' | b'R' | b'I', digits @ ..]
                if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        });
        assert_eq!(code, None, "man/{name} names a rule by its code");
    }
}

#[test]
fn mandoc_has_nothing_to_say() {
    needs(&["mandoc"]);
    for entry in fs::read_dir(repository().join("man")).unwrap() {
        let page = entry.unwrap().path();
        // As in mandoc's own words, style included; which other pages this machine has installed is not ours to say.
        let lint = Filter::tool("mandoc").arg("-Tlint").arg(&page).run();
        let said = lint.text().lines().filter(|line| !line.contains("referenced manual not found"));
        assert_eq!(said.collect::<Vec<_>>().join("\n"), "", "{}", page.display());
    }
}

#[test]
fn help_gives_examples_and_fits_a_terminal() {
    for command in commands() {
        let name = command.get_name().to_owned();
        for flag in ["-h", "--help"] {
            let help = shell(&format!("{name} {flag}")).env("COLUMNS", "100").run().succeeds().quiet();
            let text = help.text();
            assert!(text.contains("Examples:") && text.contains("Exit status:"), "{name} {flag}:\n{text}");
            let wide = text.lines().find(|line| line.chars().count() > 110);
            assert_eq!(wide, None, "{name} {flag}");
        }
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        shell(&format!("{name} -V")).run().succeeds().quiet().stdout_is(&version);
        shell(&format!("{name} --no-such-flag")).run().fails_with(2, "--no-such-flag");
    }
}

/// To renew one: `COLUMNS=100 FILTER --help >tests/cases/help/FILTER.long`, `-h` for the short one.
#[test]
fn help_is_as_it_was_read_last() {
    for command in commands() {
        let name = command.get_name().to_owned();
        for (flag, form) in [("-h", "short"), ("--help", "long")] {
            let file = repository().join(format!("tests/cases/help/{name}.{form}"));
            let help = shell(&format!("{name} {flag}")).env("COLUMNS", "100").run().succeeds().quiet();
            let expected = fs::read_to_string(&file).unwrap_or_default();
            assert_text(&format!("{name} {flag}, against {}", file.display()), &expected, help.text());
        }
    }
}

#[test]
fn completions_load_in_the_three_shells() {
    needs(&["bash", "zsh", "fish"]);
    let scratch = scratch();
    for command in commands() {
        let name = command.get_name().to_owned();
        let loads = [
            ("bash", ". \"$1\"; complete -p \"$0\""),
            ("zsh", "autoload -U compinit; compinit -D; . \"$1\"; test -n \"$_comps[$0]\""),
            ("fish", "source $argv[2]; complete -c $argv[1] | string match -q \"*quiet*\""),
        ];
        for (interpreter, load) in loads {
            let file = scratch.path().join(format!("{name}.{interpreter}"));
            shell(&format!("{name} --completions {interpreter} >\"$0\"")).arg(&file).run().succeeds().quiet();
            assert!(fs::metadata(&file).unwrap().len() > 500);
            tool(interpreter, ["-c".as_ref(), load.as_ref(), name.as_ref(), file.as_os_str()]).quiet();
        }
    }
}

#[test]
fn the_makefile_of_the_readme_rebuilds_only_what_changed() {
    needs(&["make"]);
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let makefile = readme.split("```make\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a Makefile");
    let scratch = scratch();
    let dir = scratch.path();
    fs::write(dir.join("Makefile"), makefile).unwrap();
    let layout = crate::support::sample(dir);
    for name in ["web", "db"] {
        fs::write(dir.join(format!("{name}.image")), format!("oci:{}\n", layout.display())).unwrap();
    }
    let make = || shell("cd \"$0\" && make -j4 && stat -c '%n %Y %Z' web.ext4 db.ext4").arg(dir).run().succeeds();
    let first = make();
    crate::support::e2fsck_clean(dir.join("web.ext4"));
    let disks = |ran: &crate::support::Ran| {
        ran.text().lines().filter(|line| line.contains(".ext4 1")).map(str::to_owned).collect::<Vec<_>>()
    };
    std::thread::sleep(std::time::Duration::from_millis(1100)); // make looks at whole seconds of some file systems
    let second = make();
    assert_eq!(disks(&first).len(), 2, "{}", first.report());
    assert_eq!(disks(&first), disks(&second), "nothing changed, so nothing is built again");
    assert!(!second.text().contains("tar2ext4"), "{}", second.report());
    fs::write(dir.join("web.layers"), "").unwrap();
    let third = make();
    assert!(
        third.text().contains("tar2ext4 -o web.ext4") && !third.text().contains("-o db.ext4"),
        "{}",
        third.report()
    );
}
