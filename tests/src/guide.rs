//! What the guide shows: its programs, and what they print.

/// The page of the guide about dumps and warnings.
const LOOKING_INSIDE: &str = include_str!("../../gather/src/guide/looking_inside.rs");

/// A block of code of the page [`looking_inside`](gather::guide::looking_inside).
pub struct Block {
    /// Whether it is text, and not a program.
    pub is_text: bool,
    /// What a reader sees of it.
    pub shown: String,
}

/// The blocks of code under a heading.
///
/// # Panics
///
/// If there is no such heading.
#[track_caller]
pub fn blocks_under(heading: &str) -> Vec<Block> {
    let lines = LOOKING_INSIDE.lines().filter_map(|line| line.strip_prefix("//!"));
    let mut lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    assert!(lines.any(|line| line.strip_prefix("# ") == Some(heading)), "no heading {heading:?}");
    let mut blocks = Vec::new();
    while let Some(line) = lines.find(|line| line.starts_with("```") || line.starts_with("# ")) {
        let Some(language) = line.strip_prefix("```") else { break };
        let shown = lines.by_ref().take_while(|line| *line != "```").filter(|line| !line.starts_with("# "));
        blocks.push(Block { is_text: language == "text", shown: shown.collect::<Vec<_>>().join("\n") });
    }
    blocks
}

/// What the guide says that the program under this heading prints.
///
/// # Panics
///
/// If it does not show just one such text.
#[track_caller]
pub fn printed_under(heading: &str) -> String {
    let texts = blocks_under(heading).into_iter().filter(|block| block.is_text);
    let [text] = &texts.collect::<Vec<_>>()[..] else { panic!("one text under {heading:?}") };
    text.shown.clone()
}

/// Fails unless every function that the guide shows under this heading stands in these sources as
/// it stands there.
#[track_caller]
pub fn assert_shown_as_in(source: &str, heading: &str) {
    let programs = blocks_under(heading).into_iter().filter(|block| !block.is_text);
    let functions = programs.flat_map(|program| {
        let starts: Vec<_> = program.shown.match_indices("\nasync fn ").map(|(start, _)| start + 1).collect();
        let function =
            |start: usize| program.shown[start..].split_inclusive("\n}\n").next().unwrap_or("").to_owned();
        starts.into_iter().map(function).collect::<Vec<_>>()
    });
    let functions: Vec<_> = functions.collect();
    assert!(!functions.is_empty(), "no functions under {heading:?}");
    for function in functions {
        assert!(
            source.contains(&function),
            "the guide shows another program than the test runs:\n{function}"
        );
    }
}

/// A dump with all that differs between two runs of one program made equal: numbers, times,
/// places, whether something was woken.
pub fn shape(dump: &str) -> Vec<String> {
    let word = |word: &str| {
        let digits = word.contains(|letter: char| letter.is_ascii_digit());
        let ends = |end: &str| if word.ends_with(end) { end.to_owned() } else { String::new() };
        match word {
            _ if word.starts_with('(') => "(place):".to_owned(),
            "s" | "ms" | "s," | "ms," => "time".to_owned() + &ends(","),
            "once" => "N times".to_owned(),
            _ if digits => "N".to_owned() + &ends(":"),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| {
        let line = line.replace("ready, not polled for", "waiting for").replace("never", "once");
        let indented = line.len() - line.trim_start().len();
        let words: Vec<_> = line.split_whitespace().map(word).collect();
        " ".repeat(indented) + &words.join(" ")
    };
    dump.lines().map(line).collect()
}
