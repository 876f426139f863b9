//! `gather` on one page: ordered results, a limit, borrowed data, prompt failure.
//!
//!     cargo run --example hello
//!
//! It prints:
//!
//!     fetched /about
//!     fetched /news
//!     fetched /contact
//!     in order: ["<h1>/news</h1>", "<h1>/about</h1>", "<h1>/contact</h1>"]
//!     failed at once: no such page: /missing

#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use gather::{gather, run, sleep};
use gather_examples::say;

/// Where the pages are. Every fetch borrows it: no `Arc`, no `clone`, no `'static`.
struct Site {
    pages: Vec<(&'static str, Duration)>,
}

impl Site {
    /// Stands for a download that takes a while.
    async fn fetch(&self, path: &str) -> Result<String, String> {
        let page = self.pages.iter().find(|(name, _)| *name == path);
        let (name, duration) = page.ok_or_else(|| format!("no such page: {path}"))?;
        sleep(*duration).await;
        say!("fetched {name}");
        Ok(format!("<h1>{name}</h1>"))
    }
}

fn main() -> ExitCode {
    start::start_without_options("hello", "Gathers pages of a site that is not there.", hello)
}

fn hello() -> Result<(), Box<dyn Error>> {
    let millis = Duration::from_millis;
    let site = Site { pages: vec![("/news", millis(50)), ("/about", millis(20)), ("/contact", millis(60))] };
    run(async {
        // At most two at a time: "/contact" starts when "/about" is done. The results come in the
        // order of the input.
        let paths = ["/news", "/about", "/contact"];
        let pages = gather(paths.iter().map(|path| site.fetch(path))).limit(2).await?;
        say!("in order: {pages:?}");

        // The first failure ends the others, which never print that they are fetched.
        let paths = ["/news", "/about", "/missing", "/contact"];
        match gather(paths.iter().map(|path| site.fetch(path))).await {
            Ok(_) => Err("a page too many".into()),
            Err(error) => {
                say!("failed at once: {error}");
                Ok(())
            }
        }
    })
}
