//! The file of a chart. It is written beside the one that is there, and takes its place when it is
//! whole: a run that does not get so far leaves that one as it was.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) struct Chart {
    path: PathBuf,
    /// The file that is written. None where the path leads to a device, which has no place to
    /// take.
    aside: Option<PathBuf>,
    file: File,
}

impl Chart {
    pub(crate) fn create(path: &Path) -> Result<Chart, String> {
        // Where a link leads, the file is replaced, and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_file = fs::metadata(&path).map_or(true, |there| there.is_file());
        let aside = is_file.then(|| {
            let mut aside = path.clone().into_os_string();
            aside.push(".part");
            PathBuf::from(aside)
        });
        let file = File::create(aside.as_ref().unwrap_or(&path));
        let cannot = |error| format!("--chart cannot be written to {}: {error}", path.display());
        Ok(Chart { file: file.map_err(cannot)?, path, aside })
    }

    pub(crate) fn write(mut self, svg: &str) -> io::Result<()> {
        self.file.write_all(svg.as_bytes())?;
        if let Some(aside) = &self.aside {
            fs::rename(aside, &self.path)?;
            self.aside = None;
        }
        Ok(())
    }
}

/// Nothing is left of a chart that was not written.
impl Drop for Chart {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}
