//! Which files to run: the named ones, or a worker's share of all.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::environment::{BadVariable, Settings};

/// A file of the corpus: where it is, and the name under which its verdict is reported.
#[derive(Debug)]
pub struct TestFile {
    pub name: String,
    pub path: PathBuf,
}

/// The files that this process is to run, in the order in which it runs them.
pub fn select(settings: &Settings) -> Result<Vec<TestFile>, BadVariable> {
    if let Some(names) = &settings.files {
        // A named file that does not exist is found out when it is run, and is then a failure of that file alone.
        return Ok(names.iter().map(|name| named(&settings.root, name)).collect());
    }
    let mut files = Vec::new();
    collect(&settings.root, &settings.root, &mut HashSet::new(), &mut files).map_err(|error| BadVariable {
        variable: "SQLLOGICTEST_ROOT",
        problem: format!("cannot list {}: {error}", settings.root.display()),
    })?;
    files.sort_by(|left, right| left.name.cmp(&right.name));
    shuffle(&mut files, settings.seed);
    // Dealt out like cards: each file goes to exactly one of the workers that share a seed.
    Ok(files
        .into_iter()
        .zip(0u64..)
        .filter(|(_, index)| index % settings.total_workers == settings.worker_id)
        .map(|(file, _)| file)
        .collect())
}

fn named(root: &Path, name: &str) -> TestFile {
    // `join` keeps an absolute name as it is.
    let path = root.join(name);
    TestFile {
        name: relative_name(root, &path),
        path,
    }
}

fn relative_name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// All `**/*.test` below `folder`. Links are followed, since a worker's view of the tree may be made of them; the
/// folders already seen keep a link to a parent from being followed for ever.
fn collect(root: &Path, folder: &Path, seen: &mut HashSet<PathBuf>, files: &mut Vec<TestFile>) -> io::Result<()> {
    if !seen.insert(folder.canonicalize()?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, seen, files)?;
        } else if path.extension().is_some_and(|extension| extension == "test") {
            files.push(TestFile {
                name: relative_name(root, &path),
                path,
            });
        }
    }
    Ok(())
}

/// Fisher-Yates, driven by SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014):
/// the same seed gives the same order on every host and with every toolchain.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        // The bias of the remainder is immaterial for some hundred files.
        items.swap(last, (bits % (last as u64 + 1)) as usize);
    }
}
