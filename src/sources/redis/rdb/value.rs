//! The values of a dump, each walked by its type: their lengths are nowhere else.
//!
//! Never here: a type that is not known is never guessed past, it ends the reading with its number.

use super::input::Input;
use super::{Dialect, RdbError};

/// A length, or the kind of a special encoding.
enum Length {
    Plain(u64),
    Special(u8),
}

fn length_or_special(input: &mut Input<'_>) -> Result<Length, RdbError> {
    let offset = input.offset();
    let first = input.byte()?;
    match first >> 6 {
        0 => Ok(Length::Plain(u64::from(first & 0x3f))),
        1 => Ok(Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(input.byte()?))),
        2 => match first {
            0x80 => Ok(Length::Plain(u64::from(u32::from_be_bytes(input.array()?)))),
            0x81 => Ok(Length::Plain(u64::from_be_bytes(input.array()?))),
            other => Err(RdbError::Length { byte: other, offset }),
        },
        _ => Ok(Length::Special(first & 0x3f)),
    }
}

/// Takes a number.
pub(super) fn length(input: &mut Input<'_>) -> Result<u64, RdbError> {
    let offset = input.offset();
    match length_or_special(input)? {
        Length::Plain(length) => Ok(length),
        Length::Special(kind) => Err(RdbError::Length { byte: 0xc0 | kind, offset }),
    }
}

/// Walks over a string: plain, an integer, or compressed by LZF.
pub(super) fn string(input: &mut Input<'_>) -> Result<(), RdbError> {
    let offset = input.offset();
    match length_or_special(input)? {
        Length::Plain(length) => input.skip(length),
        Length::Special(kind @ 0..=2) => input.skip(1 << kind),
        Length::Special(3) => {
            let compressed = length(input)?;
            length(input)?;
            input.skip(compressed)
        }
        Length::Special(kind) => Err(RdbError::Length { byte: 0xc0 | kind, offset }),
    }
}

fn strings(input: &mut Input<'_>, count: u64) -> Result<(), RdbError> {
    (0..count).try_for_each(|_| string(input))
}

fn lengths(input: &mut Input<'_>, count: u64) -> Result<(), RdbError> {
    (0..count).try_for_each(|_| length(input).map(drop))
}

/// A score written in decimal digits; 253 to 255 stand for what is no number or without end.
fn decimal(input: &mut Input<'_>) -> Result<(), RdbError> {
    match input.byte()? {
        253..=255 => Ok(()),
        digits => input.skip(u64::from(digits)),
    }
}

/// Walks over what a module wrote, by the marks of its own framing.
pub(super) fn module(input: &mut Input<'_>) -> Result<(), RdbError> {
    length(input)?;
    loop {
        let offset = input.offset();
        match length(input)? {
            0 => return Ok(()),
            1 | 2 => lengths(input, 1)?,
            3 => input.skip(4)?,
            4 => input.skip(8)?,
            5 => string(input)?,
            mark => return Err(RdbError::ModuleMark { mark, offset }),
        }
    }
}

/// Bytes of an entry's name in a stream's list of what is not acknowledged, and of a time.
const STREAM_ID_BYTES: u64 = 16;
const TIME_BYTES: u64 = 8;

/// Walks over a stream; `version` counts the encodings of streams from 1.
fn stream(input: &mut Input<'_>, version: u8) -> Result<(), RdbError> {
    let nodes = length(input)?;
    strings(input, nodes.saturating_mul(2))?;
    // Its length and its last entry; since the second version its first and its last removed one, and how many ever.
    lengths(input, if version >= 2 { 8 } else { 3 })?;
    for _ in 0..length(input)? {
        string(input)?;
        lengths(input, if version >= 2 { 3 } else { 2 })?;
        for _ in 0..length(input)? {
            input.skip(STREAM_ID_BYTES + TIME_BYTES)?;
            lengths(input, 1)?;
        }
        for _ in 0..length(input)? {
            string(input)?;
            input.skip(if version >= 3 { 2 * TIME_BYTES } else { TIME_BYTES })?;
            let pending = length(input)?;
            input.skip(pending.saturating_mul(STREAM_ID_BYTES))?;
        }
    }
    Ok(())
}

/// Whether a key can go by itself although it has no expiry of its own: a hash whose every field expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fading {
    /// It stays.
    Stays,
    /// It may go.
    MayGo,
}

/// A hash whose fields have expiries; `ahead` is what comes before each field, `behind` what follows each value.
fn fading_hash(
    input: &mut Input<'_>,
    ahead: fn(&mut Input<'_>) -> Result<(), RdbError>,
    behind: fn(&mut Input<'_>) -> Result<(), RdbError>,
) -> Result<Fading, RdbError> {
    for _ in 0..length(input)? {
        ahead(input)?;
        strings(input, 2)?;
        behind(input)?;
    }
    Ok(Fading::MayGo)
}

/// Walks over a value (Redis 7.4, `rdb.c`, `rdbLoadObject`; Valkey 9.0 for its own).
pub(super) fn value(
    input: &mut Input<'_>,
    dialect: Dialect,
    (kind, offset): (u8, u64),
) -> Result<Fading, RdbError> {
    let nothing = |_: &mut Input<'_>| Ok(());
    let time = |input: &mut Input<'_>| input.skip(TIME_BYTES);
    let number = |input: &mut Input<'_>| length(input).map(drop);
    match (kind, dialect) {
        (0 | 9..=13 | 16 | 17 | 20, _) => string(input)?,
        (1 | 2 | 14, _) => {
            let count = length(input)?;
            strings(input, count)?;
        }
        (3, _) => {
            for _ in 0..length(input)? {
                string(input)?;
                decimal(input)?;
            }
        }
        (4, _) => {
            let count = length(input)?;
            strings(input, count.saturating_mul(2))?;
        }
        (5, _) => {
            for _ in 0..length(input)? {
                string(input)?;
                input.skip(8)?;
            }
        }
        (7, _) => module(input)?,
        (15, _) => stream(input, 1)?,
        (18, _) => {
            for _ in 0..length(input)? {
                lengths(input, 1)?;
                string(input)?;
            }
        }
        (19, _) => stream(input, 2)?,
        (21, _) => stream(input, 3)?,
        (22, Dialect::Valkey) => return fading_hash(input, nothing, time),
        (22, Dialect::Redis) => return fading_hash(input, number, nothing),
        (23, Dialect::Redis) => {
            string(input)?;
            return Ok(Fading::MayGo);
        }
        (24, Dialect::Redis) => {
            input.skip(TIME_BYTES)?;
            return fading_hash(input, number, nothing);
        }
        (25, Dialect::Redis) => {
            input.skip(TIME_BYTES)?;
            string(input)?;
            return Ok(Fading::MayGo);
        }
        (kind, _) => return Err(RdbError::Type { kind, offset }),
    }
    Ok(Fading::Stays)
}
