//! Reading a file that should be a small text: whatever it is, the reader ends.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use crate::limits::TEXT_FILE_BYTES_MAX;

/// The text of a file: of a plain one, and of at most [`TEXT_FILE_BYTES_MAX`] bytes. A pipe that
/// nobody writes, a folder and an endless device are errors.
///
/// # Errors
/// The system's, or in words what the file is instead.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    // Before it is opened: opening a pipe waits for a writer.
    if !path.metadata()?.is_file() {
        let kind = "it is a folder, a pipe or a device: name a plain file";
        return Err(Error::new(ErrorKind::InvalidInput, kind));
    }
    read_bounded(path)
}

/// As [`read_text`], also from a pipe, as a shell makes of `<(command)`.
///
/// # Errors
/// As [`read_text`].
pub(super) fn read_bounded(path: &Path) -> std::io::Result<String> {
    let most = u64::try_from(TEXT_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    let file = File::open(path)?;
    let read = file
        .take(most.saturating_add(1))
        .read_to_string(&mut text)?;
    if read > TEXT_FILE_BYTES_MAX {
        let long = format!("it is longer than {TEXT_FILE_BYTES_MAX} bytes: name the right file");
        return Err(Error::new(ErrorKind::InvalidInput, long));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_file_is_an_error_and_not_a_wait() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(read_text(&file).unwrap(), "text");
        for other in [dir.path(), Path::new("/dev/zero")] {
            let error = read_text(other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{other:?}: {error}");
        }
        let missing = read_text(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        std::fs::write(&file, vec![b'a'; TEXT_FILE_BYTES_MAX + 1]).unwrap();
        let long = read_text(&file).unwrap_err().to_string();
        assert!(long.contains("longer than"), "{long}");
        let endless = read_bounded(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.to_string().contains("longer than"), "{endless}");
    }
}
