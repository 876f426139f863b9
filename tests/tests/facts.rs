//! What the project says of itself, read from its sources and manifests: how much of it is unsafe,
//! what its users build, how long its files are, where its links lead.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gather_tests::programs::{WORKSPACE, cargo, printed_by};
use proc_macro2::{TokenStream, TokenTree};

/// The packages of the workspace, by their folders. The first two are published.
const PACKAGES: [&str; 6] = ["runtime", "gather", "examples", "tests", "ecosystem", "benches"];

/// The files that may have unsafe code.
const UNSAFE_FILES: [&str; 2] = ["gather/src/children.rs", "runtime/src/waker.rs"];

/// The features of `gather`, and how many crates each may add.
const FEATURES: [(&str, usize); 5] =
    [("futures-io", 1), ("tokio-io", 2), ("hyper", 7), ("signal", 3), ("tracing", 3)];

// ---- reading the sources

/// A file of sources.
struct Source {
    /// Relative to the workspace, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The names and keywords of the code, each with the number of its line. What stands in a
    /// comment, in documentation or in a string is none.
    fn words(&self) -> Vec<(String, usize)> {
        fn collect(tokens: TokenStream, words: &mut Vec<(String, usize)>) {
            for token in tokens {
                match token {
                    TokenTree::Group(group) => collect(group.stream(), words),
                    TokenTree::Ident(word) => words.push((word.to_string(), word.span().start().line)),
                    TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                }
            }
        }
        let mut words = Vec::new();
        collect(self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path)), &mut words);
        words
    }

    /// The lines in which this word stands in the code.
    fn lines_with(&self, word: &str) -> Vec<usize> {
        self.words().into_iter().filter(|(name, _)| name == word).map(|(_, line)| line).collect()
    }

    /// The comment right above a line.
    fn comment_above(&self, line: usize) -> String {
        let above: Vec<_> = self.text.lines().take(line - 1).map(str::trim).collect();
        let code = above.iter().rposition(|line| !line.starts_with("//"));
        above[code.map_or(0, |code| code + 1)..].join("\n")
    }
}

/// All files of sources in a folder of the workspace, and in its folders.
#[track_caller]
fn sources(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(WORKSPACE).join(&folder)).expect("a folder of the workspace") {
            let entry = entry.expect("a folder can be read");
            let path = format!("{folder}/{}", entry.file_name().to_str().expect("plain names"));
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                sources.push(Source { text: read(&path), path });
            }
        }
    }
    assert!(!sources.is_empty(), "no sources in {folder}");
    sources
}

/// The sources that users of `gather` build.
fn published_sources() -> Vec<Source> {
    ["runtime/src", "gather/src"].into_iter().flat_map(sources).collect()
}

/// The text of a file of the workspace.
#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(WORKSPACE).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The lines of a section of a manifest, without comments.
#[track_caller]
fn section(manifest: &str, name: &str) -> Vec<String> {
    let text = read(manifest);
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    let lines = lines.skip_while(|line| *line != format!("[{name}]")).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect()
}

/// The name that a line of a manifest is about, as `mio` in `mio.workspace = true`.
fn name(line: &str) -> String {
    line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned()
}

// ---- unsafe code

#[test]
fn there_are_at_most_three_unsafe_blocks_in_two_files_each_with_its_argument() {
    let mut files = BTreeSet::new();
    let mut number = 0;
    for source in published_sources() {
        // An `unsafe impl` or an `unsafe fn` would count, too: it needs an argument as much as a
        // block does.
        for line in source.lines_with("unsafe") {
            let comment = source.comment_above(line);
            let argues = comment.lines().any(|line| line.starts_with("// SAFETY: "));
            assert!(argues, "no `// SAFETY:` above line {line} of {}, but:\n{comment}", source.path);
            files.insert(source.path.clone());
            number += 1;
        }
    }
    assert!(number <= 3, "{number} unsafe blocks");
    assert_eq!(files, set(UNSAFE_FILES));
}

#[test]
fn unsafe_code_is_denied_everywhere_else() {
    let lints = section("Cargo.toml", "workspace.lints.rust");
    assert!(lints.contains(&r#"unsafe_code = "deny""#.to_owned()), "{lints:?}");
    for package in PACKAGES {
        assert_eq!(section(&format!("{package}/Cargo.toml"), "lints"), ["workspace = true"], "{package}");
    }
    let sources = PACKAGES.into_iter().flat_map(sources);
    let allowing = sources.filter(|source| !source.lines_with("unsafe_code").is_empty());
    assert_eq!(allowing.map(|source| source.path).collect::<BTreeSet<_>>(), set(UNSAFE_FILES));
}

// ---- dependencies

/// The crates that cargo would build for these options of `cargo tree`, without our own.
#[track_caller]
fn crates(options: &[&str]) -> BTreeSet<String> {
    let tree = printed_by(cargo().args(["tree", "--prefix", "none", "--no-dedupe"]).args(options));
    assert!(tree.starts_with("gather"), "cargo has no tree for {options:?}:\n{tree}");
    // A line is a name, a version, and for ours a path.
    let crates = tree.lines().filter(|line| !line.starts_with("gather")).map(|line| line.split(' '));
    crates.map(|line| line.take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// What a user of `gather` builds, with these options for its features.
#[track_caller]
fn built(features: &[&str]) -> BTreeSet<String> {
    crates(&[&["--package", "gather", "--edges", "normal,build"], features].concat())
}

#[test]
fn a_user_with_default_features_builds_at_most_fourteen_other_crates() {
    let crates = built(&[]);
    assert!((5..=14).contains(&crates.len()), "{}: {crates:?}", crates.len());
}

#[test]
fn each_feature_adds_at_most_as_many_crates_as_it_is_worth() {
    let core = built(&["--no-default-features"]);
    for (feature, bound) in FEATURES {
        let crates = built(&["--no-default-features", "--features", feature]);
        let added: Vec<_> = crates.difference(&core).collect();
        assert!((1..=bound).contains(&added.len()), "{feature} adds {added:?}");
    }
    for package in ["gather", "runtime"] {
        let features = section(&format!("{package}/Cargo.toml"), "features");
        let names: BTreeSet<_> = features.iter().map(|line| name(line)).collect();
        assert_eq!(
            names,
            set(["default", "futures-io", "tokio-io", "hyper", "signal", "tracing"]),
            "{package}"
        );
    }
}

#[test]
fn the_core_depends_on_five_crates_and_each_feature_on_one_more() {
    let dependencies = |package: &str| {
        let manifest = format!("{package}/Cargo.toml");
        let text = read(&manifest);
        let kinds = text.lines().filter(|line| line.starts_with('[') && line.ends_with("dependencies]"));
        let kinds: Vec<_> = kinds.filter(|kind| !kind.ends_with("dev-dependencies]")).collect();
        // On WebAssembly the runtime says that it does not run there, before mio does not compile.
        let not_wasm = "target.'cfg(not(target_family = \"wasm\"))'.dependencies";
        let others = if package == "runtime" { vec![not_wasm] } else { vec![] };
        let names = [vec!["dependencies"], others].concat();
        let expected: Vec<_> = names.iter().map(|name| format!("[{name}]")).collect();
        assert_eq!(kinds, expected, "{package} has no others for one platform, or for its build");
        let lines: Vec<_> = names.iter().flat_map(|name| section(&manifest, name)).collect();
        let (optional, core): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.contains("optional = true"));
        [core, optional].map(|lines| lines.iter().map(|line| name(line)).collect::<BTreeSet<_>>())
    };
    // `gather` depends on one more, for the trait of streams.
    let core = ["crossbeam-queue", "mio", "parking_lot", "pin-project-lite", "slab"];
    let optional = ["futures-io", "hyper", "signal-hook", "tokio", "tracing"];
    assert_eq!(dependencies("runtime"), [set(core), set(optional)]);
    assert_eq!(
        dependencies("gather"),
        [set(["futures-core", "gather-runtime", "pin-project-lite"]), set([])]
    );
}

// ---- files

// ---- warnings

#[test]
fn the_warning_of_an_unused_handle_says_that_let_underscore_drops_it_too() {
    // rustc suggests `let _ = ..` for whatever is unused.
    let mut texts = Vec::new();
    for source in published_sources() {
        let lines: Vec<_> = source.text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(text) = line.strip_prefix("#[must_use = ") else { continue };
            let item = lines[index..].iter().find(|line| !line.starts_with("#["));
            if text.contains("dropping") && item.is_some_and(|item| item.starts_with("pub struct ")) {
                texts.push(text.to_owned());
            }
        }
    }
    assert!(texts.len() >= 5, "{texts:?}");
    texts.retain(|text| !text.contains("`let _ =`"));
    assert_eq!(texts, [""; 0]);
}

#[test]
fn no_file_is_longer_than_350_lines() {
    let lengths = published_sources().into_iter().map(|source| (source.text.lines().count(), source.path));
    let long: Vec<_> = lengths.filter(|(lines, _)| *lines > 350).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let folders = ["runtime/src", "gather/src", "examples", "tests", "ecosystem", "benches"];
    let sources = folders.into_iter().flat_map(sources);
    let begins = |source: &Source| {
        let first = source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
        first.is_some_and(|line| line.starts_with("//! "))
    };
    let silent = sources.filter(|source| !begins(source)).map(|source| source.path);
    assert_eq!(silent.collect::<Vec<_>>(), [""; 0]);
}

/// The file of the module that the `Next:` line of a file leads to; `None` if it has no such line.
fn next_file(file: &Source) -> Option<String> {
    let header = file.text.lines().take_while(|line| line.starts_with("//!"));
    let link = header.filter_map(|line| line.strip_prefix("//! Next: [`")).last()?;
    // [`name`](target), or [`name`], which is the target as well.
    let (name, rest) = link.split_once("`]").unwrap_or_else(|| panic!("{}: no link in {link:?}", file.path));
    let target = rest.strip_prefix('(').and_then(|rest| Some(rest.split_once(')')?.0)).unwrap_or(name);
    let (root, inside) = file.path.split_once("/src/").expect("a file of a crate");
    let own = inside.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("lib");
    let mut module: Vec<_> = own.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.trim_start_matches("mod@").split("::") {
        match name {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            name => module.push(name),
        }
    }
    let path = format!("{root}/src/{}", module.join("/"));
    let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
    let found = files.into_iter().find(|file| Path::new(WORKSPACE).join(file).exists());
    Some(found.unwrap_or_else(|| panic!("{}: {link:?} leads to no file", file.path)))
}

/// The files of a crate in the order in which each names the next, from `lib.rs` on.
#[track_caller]
fn in_reading_order(package: &str) -> Vec<String> {
    let sources = sources(&format!("{package}/src"));
    let mut order = vec![format!("{package}/src/lib.rs")];
    while let Some(file) = sources.iter().find(|source| order.last() == Some(&source.path)) {
        let Some(next) = next_file(file) else { break };
        assert!(!order.contains(&next), "{} leads back to {next}", file.path);
        order.push(next);
    }
    let left: Vec<_> =
        sources.iter().map(|source| &source.path).filter(|path| !order.contains(path)).collect();
    assert!(left.is_empty(), "after {:?} no file leads to {left:?}", order.last());
    order
}

#[test]
fn each_file_names_the_next_from_the_first_to_the_last_and_none_is_left_out() {
    for package in ["runtime", "gather"] {
        let order = in_reading_order(package);
        let last = read(order.last().expect("there is the first"));
        assert!(last.contains("//! This is the last file of the reading order."), "{:?}", order.last());
    }
}

#[test]
fn the_reading_order_at_the_head_of_a_crate_is_the_one_in_which_its_files_follow() {
    for package in ["runtime", "gather"] {
        // `a.rs` or `a/` in the table, and the same of each file.
        let table = read(&format!("{package}/src/lib.rs"));
        let (_, table) = table.split_once("the reading order").expect("it has one");
        let rows = table.lines().skip_while(|line| !line.contains("|---|")).skip(1);
        let rows = rows.map_while(|line| line.strip_prefix("//! | ")?.split(" | ").nth(1));
        let listed: Vec<_> = rows.flat_map(|files| files.split('`').skip(1).step_by(2)).collect();
        let order = in_reading_order(package);
        let tops = order[1..]
            .iter()
            .filter_map(|path| path.split("/src/").nth(1))
            .map(|path| path.split_once('/').map_or(path.to_owned(), |(folder, _)| format!("{folder}/")));
        let mut tops: Vec<_> = tops.collect();
        tops.dedup();
        assert_eq!(listed, tops, "{package}");
    }
}

#[test]
fn every_public_name_at_the_root_of_a_crate_stands_in_its_changelog() {
    for package in ["runtime", "gather"] {
        let (source, changelog) =
            (read(&format!("{package}/src/lib.rs")), read(&format!("{package}/CHANGELOG.md")));
        // `pub use a::{B, c};`, `pub use a::b;` and `pub mod a;`, which may go over several lines.
        let source: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let source = source.join(" ");
        let uses = source.split("pub use ").skip(1).map(|rest| rest.split(';').next().unwrap_or_default());
        let used = uses.flat_map(|names| names.split(['{', '}', ',', ':']).map(str::trim).skip(1));
        let modules =
            source.split(" pub mod ").skip(1).map(|rest| rest.split(';').next().unwrap_or_default());
        // A module on the way to a name, the names of the other crate, and what the macros are
        // made of.
        let hidden = ["", "*", "compat", "crate", "gather_runtime", "list"];
        let names = used.chain(modules).filter(|name| !hidden.contains(name));
        let names: BTreeSet<_> = names.collect();
        assert!(names.len() > 15, "{names:?}");
        let stands = |name: &str| {
            let mut parts = changelog.split('`').skip(1).step_by(2);
            parts.any(|code| {
                code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
            })
        };
        let missing: Vec<_> = names.into_iter().filter(|name| !stands(name)).collect();
        assert!(missing.is_empty(), "{package}: {missing:?}");
    }
}

#[test]
fn every_link_of_the_readme_to_a_file_leads_there() {
    let readme = read("README.md");
    // Every other part is a block of code, in which `](` would mean something else.
    let prose = readme.split("```").step_by(2);
    let targets = prose.flat_map(|prose| prose.split("](").skip(1));
    let targets = targets.map(|rest| rest.split([')', ' ', '#']).next().unwrap_or_default());
    let files = targets.filter(|target| !target.is_empty() && !target.contains("://"));
    let lost: Vec<_> = files.filter(|file| !Path::new(WORKSPACE).join(file).exists()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn the_guide_has_the_costs_that_the_check_holds_the_code_to() {
    // `yield: 190.8 instructions, 0.001 allocations` becomes `191 | 0`.
    let baseline = read("benches/counts.txt");
    let rounded = |number: &str, digits: i32| {
        let number: f64 = number.parse().expect("a number");
        (number * 10_f64.powi(digits)).round() / 10_f64.powi(digits)
    };
    let expected = |name: &str| {
        let figures = baseline.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let words: Vec<_> = figures.unwrap_or_else(|| panic!("no count of {name}")).split(' ').collect();
        (rounded(words[0], 0), rounded(words[2], 2))
    };
    let page = read("gather/src/guide/costs.rs");
    let rows: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once("`: ")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for (name, row) in rows {
        let cells: Vec<_> = row.split(" | ").collect();
        let shown = (rounded(cells[1], 0), rounded(cells[2], 2));
        assert_eq!(shown, expected(name), "{name}: `cargo counts --markdown` prints the table anew");
    }
}
