//! Objects in parts, where a service takes an object in one request only, or none so large.
//!
//! An object `X` of several parts lies as `X~0001`, `X~0002` and so on, and `X~parts` says how many there are: it is written
//! last, and without it there is no object. `~` stands in no name that bkp makes. By hand: `cat $(ls -v X~[0-9]*) > X`.

use super::super::remote::store::Found;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const LIST: &str = "~parts";

/// Bytes of the first parts, where a service takes an object in one request only.
const PART_BYTES: usize = 8 << 20;
/// After so many parts the next are twice as large, up to the largest: a part is in memory, and each is asked for by name.
const PARTS_OF_A_SIZE: u32 = 1000;
/// How often the size of a part doubles: to 64 MiB, beyond 54 GiB of one object.
const PART_DOUBLINGS: u32 = 3;

/// What `X~parts` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartList {
    /// The version of this form.
    pub format: u32,
    /// How many parts there are.
    pub parts: u32,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl PartList {
    pub const FORMAT: u32 = 1;

    pub fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("numbers only");
        bytes.push(b'\n');
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.format > Self::FORMAT {
            return Err(format!("its format is {}", list.format));
        }
        Ok(list)
    }
}

/// How large the next part is, by how many came before it.
pub(super) fn part_bytes(before: u32) -> usize {
    PART_BYTES << (before / PARTS_OF_A_SIZE).min(PART_DOUBLINGS)
}

/// The path of a part, counted from 1.
pub(super) fn part(path: &str, number: u32) -> String {
    format!("{path}~{number:04}")
}

/// The path of the list of an object's parts.
pub(super) fn list(path: &str) -> String {
    format!("{path}{LIST}")
}

/// Whether a path is a part or a list of parts, and of which object.
pub(super) fn of_object(path: &str) -> Option<&str> {
    let (object, ending) = path.rsplit_once('~')?;
    let numbered = ending.len() >= 4 && ending.bytes().all(|it| it.is_ascii_digit());
    (numbered || ending == &LIST[1..]).then_some(object)
}

/// Objects as they are seen from outside: those in parts are one each, as large as the parts that lie there.
pub(super) fn joined(found: Vec<Found>) -> Vec<Found> {
    let mut sizes: BTreeMap<String, (bool, u64)> = BTreeMap::new();
    let mut objects = Vec::with_capacity(found.len());
    for it in found {
        match of_object(&it.path) {
            None => objects.push(it),
            Some(object) => {
                let is_list = it.path.ends_with(LIST);
                let (listed, bytes) = sizes.entry(object.to_owned()).or_default();
                *listed |= is_list;
                *bytes += if is_list { 0 } else { it.size_bytes };
            }
        }
    }
    let whole = sizes.into_iter().filter(|(_, (listed, _))| *listed);
    objects.extend(whole.map(|(path, (_, size_bytes))| Found { path, size_bytes }));
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, size_bytes: u64) -> Found {
        Found { path: path.to_owned(), size_bytes }
    }

    #[test]
    fn parts_without_their_list_are_no_object() {
        let lying = vec![found("a/x~0001", 8), found("a/x~0002", 3), found("a/y~0001", 8), found("a/z", 1)];
        assert_eq!(joined(lying.clone()), [found("a/z", 1)]);
        let listed = [lying, vec![found("a/x~parts", 40)]].concat();
        assert_eq!(joined(listed), [found("a/z", 1), found("a/x", 11)]);
    }

    #[test]
    fn parts_grow_with_an_object_and_stay_small_in_memory() {
        assert_eq!((part_bytes(0), part_bytes(999), part_bytes(1000)), (8 << 20, 8 << 20, 16 << 20));
        assert_eq!(part_bytes(u32::MAX), 64 << 20);
        let (mut parts, mut bytes) = (0, 0_u64);
        while bytes < 1 << 40 {
            bytes += part_bytes(parts) as u64;
            parts += 1;
        }
        assert_eq!(parts, 18_509, "of 1 TiB");
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(of_object(&part("a/x.zst", 1)), Some("a/x.zst"));
        assert_eq!(of_object(&part("a/x.zst", 12_345)), Some("a/x.zst"));
        assert_eq!(of_object(&list("a/x.zst")), Some("a/x.zst"));
        assert_eq!(of_object("a/x.zst"), None);
    }
}
