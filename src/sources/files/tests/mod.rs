//! Tests on a real file system, with GNU tar as the second opinion.
#![expect(clippy::disallowed_methods, reason = "tests make and look at real files")]

mod changing;
mod damage;
mod gnu_tar;
mod reading;
mod restoring;
mod scale;

use super::hooks::Moment;
use super::{FilesRestorer, FilesSource};
use crate::declared::{ChangedPolicy, FilesDeclaration, SetName};
use crate::format::{Counts, IndexEntry, IndexReader};
use crate::host::{Command, Host, RealHost};
use crate::sources::{Artifact, Complete, Member, RestoreError, Source, SourceError, SourceStream};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A tree to back up, with room beside it.
pub struct Bed {
    room: TempDir,
    pub declaration: FilesDeclaration,
}

/// A backup that came to its end.
pub struct Made {
    pub archive: Vec<u8>,
    pub complete: Complete,
}

impl Made {
    pub fn index(&self) -> Vec<u8> {
        std::fs::read(self.complete.index().expect("files have an index").path()).expect("the index is there")
    }

    pub fn entries(&self) -> Vec<IndexEntry> {
        IndexReader::new(&self.index()[..]).collect::<Result<_, _>>().expect("a whole index")
    }

    pub fn paths(&self, bed: &Bed) -> Vec<String> {
        let root = bed.tree();
        let root = root.strip_prefix("/").expect("absolute");
        self.entries()
            .iter()
            .map(|entry| match entry.path.strip_prefix(root) {
                Ok(below) => below.display().to_string(),
                Err(_) => entry.path.display().to_string(),
            })
            .collect()
    }
}

impl Bed {
    /// An empty tree whose folder is declared.
    pub fn new() -> Self {
        let room = tempfile::tempdir().expect("a temporary folder");
        for folder in ["tree", "scratch"] {
            std::fs::create_dir(room.path().join(folder)).expect("a folder");
        }
        let tree = room.path().join("tree").display().to_string();
        let declaration = FilesDeclaration {
            paths: vec![tree],
            exclude: Vec::new(),
            one_file_system: false,
            exclude_caches: false,
            changed: ChangedPolicy::Warn,
        };
        Self { room, declaration }
    }

    pub fn tree(&self) -> PathBuf {
        self.room.path().join("tree")
    }

    pub fn room(&self) -> &Path {
        self.room.path()
    }

    pub fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.tree().join(OsStr::from_bytes(name.as_ref()))
    }

    pub fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("below the tree")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Declares other paths, below the tree.
    pub fn paths(&mut self, paths: &[&str]) {
        self.declaration.paths =
            paths.iter().map(|path| format!("{}/{path}", self.tree().display())).collect();
    }

    pub fn source(&self) -> FilesSource {
        let set: SetName = "docs".parse().expect("a name");
        FilesSource::new(&set, self.declaration.clone())
    }

    pub fn open(&self) -> Result<Box<dyn SourceStream>, SourceError> {
        self.open_with(&self.source())
    }

    pub fn open_with(&self, source: &FilesSource) -> Result<Box<dyn SourceStream>, SourceError> {
        let member = Member { name: "docs".to_owned() };
        source.open(&RealHost, &member, &self.room.path().join("scratch"))
    }

    pub fn back_up(&self) -> Result<Made, SourceError> {
        drain(self.open()?)
    }

    /// Backs up while something is done at the moments that a file is read.
    pub fn back_up_while(
        &self,
        act: impl Fn(Moment, &Path) + Send + Sync + 'static,
    ) -> Result<Made, SourceError> {
        let mut source = self.source();
        source.hooks.at = Some(Arc::new(move |moment, path| act(moment, Path::new(OsStr::from_bytes(path)))));
        drain(self.open_with(&source)?)
    }

    /// A new empty folder in the room.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.room.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        path
    }

    /// Drills in a folder that is removed afterwards.
    pub fn drill(&self, made: &Made) -> Result<Counts, RestoreError> {
        self.drill_bytes(&made.archive, &made.index())
    }

    pub fn drill_bytes(&self, archive: &[u8], index: &[u8]) -> Result<Counts, RestoreError> {
        let scratch = tempfile::tempdir_in(self.room.path()).expect("a temporary folder");
        let (mut body, mut index) = (archive, index);
        let artifact =
            Artifact { member: "docs", body: &mut body, index: Some(&mut index), counts: &Counts::default() };
        FilesRestorer.drill(artifact, scratch.path())
    }

    /// Restores what matches into a new folder.
    pub fn restore(&self, archive: &[u8], include: &[&str]) -> (PathBuf, Result<Counts, RestoreError>) {
        let folder = tempfile::tempdir_in(self.room.path()).expect("a temporary folder").keep();
        let result = restore_to(archive, None, &folder, include);
        (folder, result)
    }
}

pub fn restore_to(
    mut archive: &[u8],
    index: Option<&[u8]>,
    folder: &Path,
    include: &[&str],
) -> Result<Counts, RestoreError> {
    let target = crate::sources::Target {
        folder: folder.to_owned(),
        include: include.iter().map(|glob| (*glob).to_owned()).collect(),
    };
    let mut index = index;
    let artifact = Artifact {
        member: "docs",
        body: &mut archive,
        index: index.as_mut().map(|index| index as &mut dyn Read),
        counts: &Counts::default(),
    };
    FilesRestorer.restore(artifact, &target)
}

/// Reads a stream to its end and finishes it, as the pipeline does: also when reading failed.
pub fn drain(mut stream: Box<dyn SourceStream>) -> Result<Made, SourceError> {
    let mut archive = Vec::new();
    let read = stream.read_to_end(&mut archive);
    let finished = stream.finish();
    assert_eq!(read.is_ok(), finished.is_ok(), "reading and finishing must agree");
    finished.map(|complete| Made { archive, complete })
}

/// Runs a tool that must succeed and gives its output.
pub fn tool<I: IntoIterator<Item = S>, S: Into<std::ffi::OsString>>(argv: I) -> String {
    let command = Command::change(argv);
    let output = RealHost.run(&command).expect("the tool is installed");
    assert!(output.succeeded(), "{}: {}", command.display(), output.explain());
    output.text()
}

/// Whether this process can set owners and make devices; the tests need it.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
