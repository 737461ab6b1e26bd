//! An object on its way to its final name.
//!
//! Until [`Upload::publish`] has come to its end nothing may be under the final name, and whatever fails, the
//! temporary file goes. An fsync that failed is never tried again: the kernel may have dropped the pages and would
//! say yes the second time.

use super::folder::Folder;
use super::medium;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};

/// How temporary names begin.
pub(super) const TEMPORARY: &str = ".bkp-tmp-";
/// Bytes moved at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Why an upload failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The body's `read` failed.
    Body(io::Error),
    /// The final name is taken.
    Exists,
    /// The system refused.
    System { during: &'static str, error: io::Error },
}

fn system(during: &'static str) -> impl Fn(io::Error) -> Fault {
    move |error| Fault::System { during, error }
}

/// A temporary file that is removed unless it is published.
#[derive(Debug)]
pub(super) struct Upload {
    folder: Folder,
    temporary: String,
    file: File,
    published: bool,
}

impl Upload {
    /// Creates the temporary file in the folder that will hold the object.
    pub fn begin(folder: Folder) -> io::Result<Self> {
        loop {
            let temporary = format!("{TEMPORARY}{:016x}", crate::destinations::marker::random());
            match folder.create_new(&temporary) {
                Ok(file) => return Ok(Self { folder, temporary, file, published: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the whole body and makes it durable.
    pub fn fill(&mut self, body: &mut dyn Read) -> Result<(), Fault> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut written = medium::Window::default();
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Body(error)),
            };
            self.file.write_all(&buffer[..length]).map_err(system("writing"))?;
            written.advance(&self.file, length);
        }
        self.file.sync_all().map_err(system("fsync"))
    }

    /// Gives the file its final name, which must be free, and makes the name durable.
    pub fn publish(mut self, name: &str) -> Result<(), Fault> {
        let renamed = rustix::fs::renameat_with(
            &self.folder,
            self.temporary.as_str(),
            &self.folder,
            name,
            RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) => self.published = true,
            Err(Errno::EXIST) => return Err(Fault::Exists),
            // The file system or the kernel cannot rename without replacing (renameat2(2)).
            Err(Errno::INVAL | Errno::NOSYS) => self.link(name)?,
            // A Mac has two numbers for it, Linux one with two names (renameatx_np(2)).
            Err(errno) if [Errno::OPNOTSUPP, Errno::NOTSUP].contains(&errno) => self.link(name)?,
            Err(errno) => return Err(system("renaming")(errno.into())),
        }
        self.folder.sync().map_err(|error| {
            // Nobody else can have put it there, and a name that may not last is no object.
            let _best_effort = self.folder.remove_file(name);
            system("fsync of the folder")(error)
        })
    }

    /// The final name as a second, hard link, which never replaces either; then the temporary name goes.
    fn link(&mut self, name: &str) -> Result<(), Fault> {
        let linked =
            rustix::fs::linkat(&self.folder, self.temporary.as_str(), &self.folder, name, AtFlags::empty());
        match linked {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Fault::Exists),
            Err(errno) => Err(system("publishing without replacing")(errno.into())),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.published {
            // What stays is a temporary name: no object, and swept later.
            let _best_effort = self.folder.remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(folder: &tempfile::TempDir) -> Upload {
        let mut upload = Upload::begin(Folder::open(folder.path()).expect("a folder")).expect("a file");
        upload.fill(&mut &b"new"[..]).expect("room");
        upload
    }

    #[test]
    fn publishing_by_link_does_not_replace_and_leaves_no_temporary_name() {
        let folder = tempfile::tempdir().expect("a folder");
        filled(&folder).link("object").expect("a free name");
        assert!(matches!(filled(&folder).link("object"), Err(Fault::Exists)));
        let open = Folder::open(folder.path()).expect("a folder");
        let names: Vec<_> = open.entries().expect("a list").into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["object"]);
    }

    #[test]
    fn publishing_by_rename_does_not_replace() {
        let folder = tempfile::tempdir().expect("a folder");
        filled(&folder).publish("object").expect("a free name");
        assert!(matches!(filled(&folder).publish("object"), Err(Fault::Exists)));
    }
}
