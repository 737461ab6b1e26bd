//! What services need that are folders behind HTTP, WebDAV above all: objects in parts, and folders that stay.

use super::download::PartsDownload;
use super::fault::fault;
use super::parts::{self, PartList, part_bytes};
use super::pieces::Pieces;
use super::store::ServiceStore;
use crate::destinations::remote::rivals::alone;
use crate::destinations::remote::store::{Fault, Store};
use crate::destinations::runtime::wait;
use bytes::Bytes;
use opendal::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

impl ServiceStore {
    /// The parts of an object, the list of them last. Parts that lie there without a list are a killed upload's.
    pub(super) fn put_parts(&self, path: &str, first: Bytes, body: &mut Pieces) -> Result<(), Fault> {
        // Only the list's name can be refused, so that rivals must not even begin.
        let _alone = alone(&self.location, path);
        if self.size(path)?.is_some() {
            return Err(Fault::Taken);
        }
        let mut list = PartList { format: PartList::FORMAT, parts: 0, bytes: 0 };
        let stored = self.put_each_part(path, &mut list, first, body);
        if stored.is_err() {
            // Parts without their list are no object; what cannot be removed now is swept later.
            for number in 1..=list.parts {
                let _best_effort = wait(self.operator.delete(&parts::part(path, number)));
            }
        }
        stored
    }

    fn put_each_part(
        &self,
        path: &str,
        list: &mut PartList,
        first: Bytes,
        body: &mut Pieces,
    ) -> Result<(), Fault> {
        let put = |list: &mut PartList, bytes: Bytes| {
            list.parts += 1;
            list.bytes += bytes.len() as u64;
            let part = parts::part(path, list.parts);
            if self.stat(&part)?.is_some() {
                wait(self.operator.delete(&part)).map_err(fault("removing a killed upload's part"))?;
            }
            self.write(&part, &mut Pieces::only(bytes))
        };
        let mut part = first;
        while !part.is_empty() {
            put(list, part)?;
            part = body.next(part_bytes(list.parts)).map_err(Fault::Body)?;
        }
        self.write(&parts::list(path), &mut Pieces::only(list.render().into())).map(|_| ())
    }

    /// Gives an object in parts back, from a byte on; they must all be there, and be as long together as the list says.
    pub(super) fn get_parts(
        &self,
        path: &str,
        list: &PartList,
        from: u64,
    ) -> Result<Box<dyn Read + Send>, Fault> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| &path[..=folder.len()]);
        let entries = self.list_below(folder, false)?;
        let sizes: BTreeMap<&str, u64> =
            entries.iter().map(|it| (it.path(), it.metadata().content_length())).collect();
        let mut wanted = VecDeque::new();
        let mut there = 0;
        for number in 1..=list.parts {
            let part = parts::part(path, number);
            // What a listing does not show may have come since.
            let bytes = match sizes.get(part.as_str()) {
                Some(bytes) => Some(*bytes),
                None => self.stat(&part)?,
            };
            let bytes = bytes.ok_or_else(|| {
                Fault::other("looking for its parts", format!("part {number} of {} is missing", list.parts))
            })?;
            let skipped = from.saturating_sub(there).min(bytes);
            there += bytes;
            if skipped < bytes {
                wanted.push_back((part, skipped..bytes));
            }
        }
        if there != list.bytes {
            let text = format!("its parts have {there} bytes, and {} were stored", list.bytes);
            return Err(Fault::other("looking at its parts", text));
        }
        Ok(Box::new(PartsDownload::open(&self.operator, wanted)?))
    }

    /// Removes empty folders below one. To remove a folder is to remove what is in it: each is looked at just before, and
    /// nobody stores below it meanwhile.
    pub(super) fn sweep_folders(&self, folder: &str) -> Result<(), Fault> {
        let entries = self.list_below(folder, true)?;
        let mut folders: Vec<&str> =
            entries.iter().filter(|it| it.metadata().is_dir()).map(Entry::path).collect();
        folders.sort_unstable_by_key(|path| std::cmp::Reverse(path.len()));
        for path in folders {
            if self.list_below(path, false)?.is_empty() {
                wait(self.operator.delete(path)).map_err(fault("removing an empty folder"))?;
            }
        }
        Ok(())
    }

    /// Whether a path cannot be there because one above it, or its name without the `/`, is a file: Apache's WebDAV calls
    /// that a bad request.
    pub(super) fn is_below_a_file(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.has_folders()
            && above
                .filter(|it| !it.is_empty())
                .any(|it| wait(self.operator.stat(it)).is_ok_and(|metadata| metadata.is_file()))
    }
}
