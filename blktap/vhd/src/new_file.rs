//! A file that gets its name when it is whole: whoever looks before that finds nothing, or what was there. Knows names;
//! what is written is other modules' business.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

use crate::directory;
use crate::error::{Error, Result};
use crate::image_file::ImageFile;
use crate::open::descriptor_path;

/// Before the process's umask.
const MODE: u32 = 0o644;

/// A new file, which is gone when this is dropped and not [`NewFile::keep`]'d.
#[derive(Debug)]
pub(crate) struct NewFile {
    image: ImageFile,
    path: PathBuf,
    /// The name that it has until it is kept, where the file system knows no file without one.
    hidden: Option<PathBuf>,
    replaces: bool,
}

impl NewFile {
    /// Makes the file, in the directory of `path`. With `replaces` it takes the place and the mode of a file there.
    pub(crate) fn create(path: &Path, replaces: bool) -> Result<Self> {
        // The file itself, not the link that leads to it, is replaced.
        let path = fs::canonicalize(path).ok().filter(|_| replaces).unwrap_or_else(|| path.to_owned());
        let (file, hidden) = match unnamed(&path) {
            Some(file) => (file, None),
            None => {
                let hidden = hidden(&path);
                let file = File::options().read(true).write(true).create_new(true).mode(MODE).open(&hidden);
                let doing = || format!("cannot create `{}`", hidden.display());
                (file.map_err(|source| Error::io(doing(), source))?, Some(hidden))
            }
        };
        let image = ImageFile::checked(file, &path)?;
        let new = NewFile { image, path, hidden, replaces };
        if let Ok(old) = fs::metadata(&new.path) {
            let done = new.image.descriptor().set_permissions(old.permissions());
            done.map_err(|source| Error::io(new.doing(), source))?;
        }
        Ok(new)
    }

    pub(crate) fn image(&mut self) -> &mut ImageFile {
        &mut self.image
    }

    /// Gives the file its name. With `is_durable` it and all that was written is on disk afterwards.
    pub(crate) fn keep(mut self, is_durable: bool) -> Result<()> {
        let done = self.give_name(is_durable).map_err(|source| Error::io(self.doing(), source));
        if done.is_ok() {
            self.hidden = None;
        }
        done
    }

    fn give_name(&mut self, is_durable: bool) -> io::Result<()> {
        if is_durable {
            self.image.descriptor().sync_all()?;
        }
        match (&self.hidden, self.replaces) {
            (None, false) => link(self.image.descriptor(), &self.path)?,
            (None, true) => {
                let hidden = self.hidden.insert(hidden(&self.path));
                link(self.image.descriptor(), hidden)?;
                fs::rename(hidden, &self.path)?;
            }
            (Some(hidden), true) => fs::rename(hidden, &self.path)?,
            (Some(hidden), false) => rename_to_new(hidden, &self.path)?,
        }
        if is_durable {
            directory::sync(&self.path)?;
        }
        Ok(())
    }

    fn doing(&self) -> String {
        format!("cannot create `{}`", self.path.display())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // There is an error already; a file that cannot be removed changes nothing about it.
            drop(fs::remove_file(hidden));
        }
    }
}

/// A file without a name, which ends with its process. `None` where that cannot be, or could not be named later.
fn unnamed(path: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory::of(path), flags, Mode::from_raw_mode(MODE)).ok()?;
    let file = File::from(file);
    fs::symlink_metadata(descriptor_path(&file)).is_ok().then_some(file)
}

fn link(file: &File, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, descriptor_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Renames where nothing may be replaced.
fn rename_to_new(hidden: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, hidden, CWD, path, RenameFlags::NOREPLACE) {
        // NFS: two steps do the same there.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        done => return Ok(done?),
    }
    match fs::hard_link(hidden, path) {
        Ok(()) => fs::remove_file(hidden),
        Err(_) if fs::symlink_metadata(path).is_ok() => Err(Errno::EXIST.into()),
        // No file has two names there. Looking first is all that is left.
        Err(_) => fs::rename(hidden, path),
    }
}

/// A name beside `path` that nobody else takes.
fn hidden(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", Uuid::new_v4().simple()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Makes a file with or without a name of its own, and keeps it or not; what the directory then holds.
    fn check(has_name: bool, is_there: bool, replaces: bool, is_kept: bool, expected: std::result::Result<&str, i32>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        if is_there {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut new = NewFile::create(&path, replaces).unwrap();
        assert!(new.hidden.is_none(), "tests run where files need no name");
        if has_name {
            let hidden = hidden(&path);
            link(new.image.descriptor(), &hidden).unwrap();
            new.hidden = Some(hidden);
        }
        new.image.descriptor().write_all(b"new").unwrap();
        let kept = match is_kept {
            true => new.keep(true).map_err(|error| error.errno()),
            false => {
                drop(new);
                Ok(())
            }
        };
        let names = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, usize::from(path.exists()), "nothing else is left");
        assert_eq!(kept.map(|()| fs::read_to_string(&path).unwrap_or_default()), expected.map(str::to_owned));
        if is_there {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_has_its_name_when_it_is_kept_and_only_then() {
        for has_name in [false, true] {
            check(has_name, false, false, true, Ok("new"));
            check(has_name, false, true, true, Ok("new"));
            check(has_name, false, false, false, Ok(""));
            check(has_name, true, true, true, Ok("new"));
            check(has_name, true, true, false, Ok("old"));
            check(has_name, true, false, true, Err(17));
        }
    }
}
