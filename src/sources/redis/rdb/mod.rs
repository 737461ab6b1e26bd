//! A dump of Redis or Valkey read from beginning to end: what is in it is counted, not believed.
//!
//! Never here: something unknown that is stepped over, or a dump that is called whole without its end mark. Sources:
//! `rdb.c` and `rdb.h` of Redis 7.4 and Valkey 9.0.

mod crc;
mod input;
mod value;

#[cfg(test)]
mod tests;

use crate::format::{Bound, Counts};
use input::Input;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// The word under which loaded function libraries are counted.
pub(super) const LIBRARIES: &str = "libraries";
/// The latest version of Redis' format whose every type is known here (Redis 7.4 and 8.0).
const REDIS_VERSION_MAX: u32 = 12;
/// The version of Valkey's own format that is known here (Valkey 9.0).
const VALKEY_VERSION: u32 = 80;
/// Opcodes grow down from 255; types of values grow up from 0.
const FIRST_OPCODE: u8 = 128;
/// The first version with a check sum at its end.
const CHECKSUM_SINCE: u32 = 5;

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RdbError {
    /// It could not be read on.
    #[error("it could not be read")]
    Read(#[source] io::Error),
    /// It ends too early.
    #[error("it ends at byte {offset}, before its end mark")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// It does not begin as a dump does.
    #[error("it does not begin with REDIS or VALKEY and a version")]
    Magic,
    /// A version that this bkp does not know.
    #[error("this bkp does not know version {version} of {dialect:?}'s dump format")]
    Version {
        /// Whose.
        dialect: Dialect,
        /// Which.
        version: u32,
    },
    /// A value's type, or an opcode, that is not known.
    #[error("unknown type {kind} at byte {offset}")]
    Type {
        /// Its number.
        kind: u8,
        /// Where.
        offset: u64,
    },
    /// An encoding of a length that does not exist.
    #[error("no length begins with byte {byte:#04x} (at byte {offset})")]
    Length {
        /// The byte.
        byte: u8,
        /// Where.
        offset: u64,
    },
    /// A mark of a module's framing that does not exist.
    #[error("a module's data has the unknown mark {mark} at byte {offset}")]
    ModuleMark {
        /// The mark.
        mark: u64,
        /// Where.
        offset: u64,
    },
    /// The sum at the end is not that of the bytes.
    #[error("its check sum is {stored:016x}, and its bytes give {computed:016x}")]
    Checksum {
        /// At the end.
        stored: u64,
        /// Of the bytes.
        computed: u64,
    },
    /// Something follows the end.
    #[error("something follows its end mark")]
    Trailing,
    /// Fewer or more keys than the database announced.
    #[error("database {database} announces {announced} keys, and {found} are in it")]
    Keys {
        /// Its number.
        database: u64,
        /// As its head says.
        announced: u64,
        /// As counted.
        found: u64,
    },
}

/// Whose format it is: type numbers from 22 on differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `REDIS` and a version up to 12; Valkey's too, up to 8.
    Redis,
    /// `VALKEY` and version 80: Valkey 9.
    Valkey,
}

/// Whether the dump has a sum of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// It has, and it is right.
    Matches,
    /// It is zero: the server made none (`rdbchecksum no`), or somebody zeroed it.
    Absent,
}

/// The keys of one database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// All of them.
    pub all: u64,
    /// Those of them that can go by themselves.
    pub fading: u64,
}

/// What is in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Census {
    /// Whose format it is.
    pub dialect: Dialect,
    /// By the database's number.
    pub databases: BTreeMap<u64, Keys>,
    /// Function libraries.
    pub libraries: u64,
    /// Its own sum.
    pub checksum: Checksum,
}

/// The word under which a database's keys are counted.
pub(super) fn keys_of(database: u64) -> String {
    format!("keys db{database}")
}

impl Census {
    /// What is exact.
    pub(super) fn counts(&self) -> Counts {
        let keys = self.databases.iter().filter(|(_, keys)| keys.fading == 0);
        let keys = keys.map(|(database, keys)| (keys_of(*database), keys.all));
        Counts(keys.chain([(LIBRARIES.to_owned(), self.libraries)]).collect())
    }

    /// What may be less by the time that it is restored.
    pub(super) fn bounds(&self) -> BTreeMap<String, Bound> {
        let keys = self.databases.iter().filter(|(_, keys)| keys.fading > 0);
        let bound = |keys: &Keys| Bound { min: keys.all.saturating_sub(keys.fading), max: keys.all };
        keys.map(|(database, keys)| (keys_of(*database), bound(keys))).collect()
    }

    /// Every key and library that is in it, those included that may go.
    pub(super) fn everything(&self) -> Counts {
        let keys = self.databases.iter().map(|(database, keys)| (keys_of(*database), keys.all));
        Counts(keys.chain([(LIBRARIES.to_owned(), self.libraries)]).collect())
    }
}

/// Reads a dump to its end.
pub(super) fn read(source: &mut dyn Read) -> Result<Census, RdbError> {
    let mut input = Input::new(source);
    let (dialect, version) = head(&mut input)?;
    let mut walk = Walk { dialect, databases: BTreeMap::new(), announced: BTreeMap::new(), libraries: 0 };
    let mut database = 0;
    let mut expires = false;
    loop {
        match input.byte()? {
            // Sizes of a cluster's slots.
            244 => (0..3).try_for_each(|_| value::length(&mut input).map(drop))?,
            245 => {
                value::string(&mut input)?;
                walk.libraries += 1;
            }
            247 => value::module(&mut input)?,
            // How long unused, and how often used.
            248 => drop(value::length(&mut input)?),
            249 => input.skip(1)?,
            250 => (0..2).try_for_each(|_| value::string(&mut input))?,
            251 => {
                let announced = (value::length(&mut input)?, value::length(&mut input)?);
                walk.announced.insert(database, announced);
            }
            252 => {
                input.skip(8)?;
                expires = true;
            }
            253 => {
                input.skip(4)?;
                expires = true;
            }
            254 => database = value::length(&mut input)?,
            255 => break,
            kind => {
                walk.pair(&mut input, database, (kind, expires))?;
                expires = false;
            }
        }
    }
    let checksum = if version < CHECKSUM_SINCE { Checksum::Absent } else { sum(&mut input)? };
    if !input.at_end()? {
        return Err(RdbError::Trailing);
    }
    walk.end(checksum)
}

/// Bytes with their sum behind them.
#[cfg(test)]
pub(super) fn summed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc::extend(0, bytes).to_le_bytes()].concat()
}

/// What was seen so far.
struct Walk {
    dialect: Dialect,
    databases: BTreeMap<u64, Keys>,
    announced: BTreeMap<u64, (u64, u64)>,
    libraries: u64,
}

impl Walk {
    /// A key and its value.
    fn pair(
        &mut self,
        input: &mut Input<'_>,
        database: u64,
        (kind, expires): (u8, bool),
    ) -> Result<(), RdbError> {
        let offset = input.offset() - 1;
        // An opcode that is not known is not followed by a key.
        if kind >= FIRST_OPCODE {
            return Err(RdbError::Type { kind, offset });
        }
        value::string(input)?;
        let fading = value::value(input, self.dialect, (kind, offset))?;
        let keys = self.databases.entry(database).or_default();
        keys.all += 1;
        keys.fading += u64::from(expires || fading == value::Fading::MayGo);
        Ok(())
    }

    /// What a database announces is what the server held when it forked; old servers leave out keys that have expired.
    fn end(self, checksum: Checksum) -> Result<Census, RdbError> {
        for (database, (announced, expiring)) in self.announced {
            let found = self.databases.get(&database).map_or(0, |keys| keys.all);
            if !(announced.saturating_sub(expiring)..=announced).contains(&found) {
                return Err(RdbError::Keys { database, announced, found });
            }
        }
        let Self { dialect, databases, libraries, .. } = self;
        Ok(Census { dialect, databases, libraries, checksum })
    }
}

fn head(input: &mut Input<'_>) -> Result<(Dialect, u32), RdbError> {
    let magic: [u8; 5] = input.array()?;
    let (dialect, digits) = match &magic {
        b"REDIS" => (Dialect::Redis, input.array::<4>()?.to_vec()),
        b"VALKE" if input.byte()? == b'Y' => (Dialect::Valkey, input.array::<3>()?.to_vec()),
        _ => return Err(RdbError::Magic),
    };
    let version = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
    let version: u32 = version.ok_or(RdbError::Magic)?;
    let known = match dialect {
        Dialect::Redis => (1..=REDIS_VERSION_MAX).contains(&version),
        Dialect::Valkey => version == VALKEY_VERSION,
    };
    if known { Ok((dialect, version)) } else { Err(RdbError::Version { dialect, version }) }
}

fn sum(input: &mut Input<'_>) -> Result<Checksum, RdbError> {
    let computed = input.crc();
    match u64::from_le_bytes(input.array()?) {
        0 => Ok(Checksum::Absent),
        stored if stored == computed => Ok(Checksum::Matches),
        stored => Err(RdbError::Checksum { stored, computed }),
    }
}
