//! Hashing a tree of files: what blocks and what computes goes to threads, a limited number at a
//! time, and the loop stays free.
//!
//!     cargo run --release --example files -- examples
//!
//! prints, for example:
//!
//!     25 files, 125,707 bytes in 803.7µs, by 8 threads at most
//!     digest 895a7d3546d364ff
//!     the loop was busy for 246µs at most without a pause
//!
//! and on stderr how far it has come, four times a second. Reading a file blocks and hashing it
//! computes: neither waits for anything that could wake a future, so neither belongs on the loop.
//! `spawn_blocking` gives each file to a thread; `limit` says how many at a time, and so how many
//! threads and open files there are. `gather` gives the digests in the order of the paths, so the
//! digest of the whole is the same whichever thread is first. `--on-the-loop` shows what happens
//! otherwise: nothing else runs while a file is read, and the progress stands still.

#[path = "../start.rs"]
mod start;

use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gather::{Handle, Outcomes, gather, interval, run, sleep, spawn_blocking};
use gather_examples::complain;
use gather_examples::output::print;
use lexopt::{Arg, Parser};

const HELP: &str = "\
Hashes all files in a folder and in its folders (FNV-1a: to see changes, not to keep anyone from forging).

Usage: files [OPTIONS] FOLDER

Options:
      --limit N      how many files at a time, each on a thread [default: 8]
      --on-the-loop  read and hash them on the loop instead, to see how it stands still
  -h, --help         show this

Exit codes: 0 all files were hashed, 1 some could not be read, 2 the options cannot be used.";

struct Options {
    folder: PathBuf,
    limit: NonZeroUsize,
    on_the_loop: bool,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut folder, mut limit, mut on_the_loop) = (None, NonZeroUsize::new(8).expect("not zero"), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("limit") => limit = start::count(parser, usize::MAX)?,
            Arg::Long("on-the-loop") => on_the_loop = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Value(value) if folder.is_none() => folder = Some(value.into()),
            unknown => return Err(unknown.unexpected()),
        }
    }
    let folder = folder.ok_or("a folder is wanted")?;
    Ok(Some(Options { folder, limit, on_the_loop }))
}

fn main() -> ExitCode {
    start::start("files", HELP, options, |options| run(hash_tree(options)))
}

async fn hash_tree(options: Options) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let folder = options.folder.clone();
    // A folder that cannot be read is an error at once, and there is nothing to do beside it: one
    // thread walks.
    let paths = spawn_blocking(move || walk(&folder)).await??;
    let (files, bytes) = (Cell::new(0), Cell::new(0));
    let hashes = gather(paths.iter().map(async |path| {
        let hashed = if options.on_the_loop {
            hash_file(path)
        } else {
            let path = path.clone();
            spawn_blocking(move || hash_file(&path)).await.map_err(io::Error::other)?
        };
        let (hash, length) = hashed?;
        files.set(files.get() + 1);
        bytes.set(bytes.get() + length);
        Ok::<u64, io::Error>(hash)
    }))
    .limit(options.limit.get())
    .capture();

    let shows = async {
        let mut ticks = interval(Duration::from_millis(250));
        ticks.tick().await; // the first is at once
        loop {
            ticks.tick().await;
            complain!("{} of {} files, {} bytes", files.get(), paths.len(), grouped(bytes.get()));
        }
    };
    // The one that goes on for ever is dropped when the other has ended.
    let hashes = beside(hashes, shows).await;

    sleep(Duration::from_millis(1)).await; // the loop counts how long it was busy when it next has nothing to do
    let metrics = Handle::current().metrics();
    let mut digest = Fnv::default();
    for (index, hash) in hashes.successes() {
        digest.take(paths[index].to_string_lossy().as_bytes());
        digest.take(&hash.to_le_bytes());
    }
    let threads = if options.on_the_loop { 0 } else { options.limit.get() };
    print(format_args!(
        "{} files, {} bytes in {:.1?}, by {threads} threads at most\n\
         digest {:016x}\n\
         the loop was busy for {:.0?} at most without a pause\n",
        files.get(),
        grouped(bytes.get()),
        started.elapsed(),
        digest.0,
        metrics.longest_poll(),
    ))?;
    for (index, error) in hashes.failures() {
        complain!("files: {}: {error}", paths[index].display());
    }
    match hashes.failure_count() {
        0 => Ok(()),
        count => Err(format!("{count} files could not be read").into()),
    }
}

/// Runs `work` to its end, and `watch` meanwhile.
async fn beside<T>(work: impl Future<Output = T>, watch: impl Future<Output = T>) -> T {
    use std::pin::{Pin, pin};
    let (work, watch) = (pin!(work), pin!(watch));
    let both: [Pin<&mut dyn Future<Output = T>>; 2] = [work, watch];
    gather(both).race().await.1
}

/// All files in a folder, in the order of their paths. Links are not followed.
fn walk(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let cannot = |error: io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The hash of a file, and its length. Blocks.
fn hash_file(path: &Path) -> io::Result<(u64, u64)> {
    let (mut file, mut hash, mut length) = (File::open(path)?, Fnv::default(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash.0, length)),
            count => {
                hash.take(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

/// The hash of Fowler, Noll and Vo: four lines, and the same on every machine.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A number with commas: 10,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
