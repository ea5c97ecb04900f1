//! Reads a file of a mounted directory, with as few calls of the host as there can be.
//!
//! The standard library would look at the file and ask for its end besides, and a host does each of that on a thread of
//! its own: for a token that is read for every event, most of the time is in the going to and fro.

use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// How many bytes are asked for at a time: a token has some 1,200.
const CHUNK: u64 = 16 << 10;

/// The content of the file at `path`, which is absolute.
///
/// # Errors
/// [`ErrorCode::NoEntry`] where no mounted directory has it, or what the host says.
pub fn read(path: &str) -> Result<Vec<u8>, ErrorCode> {
    let directories = get_directories();
    let within = directories.iter().filter_map(|(directory, mount)| Some((directory, below(mount, path)?)));
    // The innermost mount leaves the shortest path.
    let (directory, path) = within.min_by_key(|(_, path)| path.len()).ok_or(ErrorCode::NoEntry)?;
    // In a cluster the file is a link, which the kubelet turns to a newer token.
    let file = directory.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ)?;
    read_to_end(&file)
}

fn read_to_end(file: &Descriptor) -> Result<Vec<u8>, ErrorCode> {
    let mut content = Vec::new();
    loop {
        let (chunk, is_end) = file.read(CHUNK, content.len() as u64)?;
        // A file gives less than it is asked for at its end only, so nobody has to ask a second time.
        let is_end = is_end || (chunk.len() as u64) < CHUNK;
        content.extend(chunk);
        if is_end {
            return Ok(content);
        }
    }
}

/// What to tell of an error: its first words, which are those of any system.
pub fn problem(error: ErrorCode) -> String {
    let message = error.message();
    message.split_once(", similar to").map_or(message, |(words, _)| words).to_owned()
}

/// The rest of `path` behind `mount`, where it lies below that.
fn below<'a>(mount: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(mount.trim_end_matches('/'))?.strip_prefix('/')
}
