//! The head of a custom-format archive: what it is of, and its table of contents (`pg_backup_archiver.c`: `WriteHead`,
//! `WriteToc`; `pg_backup_custom.c`: `_WriteExtraToc`).
//!
//! Never here: a version that this does not know is read as if it were a known one.

/// Why the bytes are no archive that can be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArchiveError {
    /// The first bytes.
    #[error("it does not begin as a custom-format archive of pg_dump")]
    Foreign,
    /// A later format, or one before `PostgreSQL` 12's.
    #[error("its format is 1.{minor}, which is not known here")]
    Unknown {
        /// The minor version.
        minor: u8,
    },
    /// Something that no `pg_dump` writes.
    #[error("{0}")]
    Malformed(String),
    /// The stream ended too early.
    #[error("it ends {0}")]
    Truncated(String),
}

/// The lowest format read here, of `PostgreSQL` 12.
const MINOR_MIN: u8 = 14;
/// The highest, of `PostgreSQL` 17 and 18.
const MINOR_MAX: u8 = 16;
/// A field longer than this is damage, not a function's text.
const FIELD_BYTES_MAX: usize = 1 << 30;

/// One stream (`archCustom`).
pub(super) const FORMAT_CUSTOM: u8 = 1;
/// A folder with a file for each table: its `toc.dat` says that it is a tar archive (`archTar`).
pub(super) const FORMAT_FOLDER: u8 = 3;

/// Not enough bytes yet, or never.
#[derive(Debug)]
pub(super) enum Short {
    More,
    Never(ArchiveError),
}

impl From<ArchiveError> for Short {
    fn from(error: ArchiveError) -> Self {
        Self::Never(error)
    }
}

/// Reads the archive's integers and strings from a slice that may end anywhere.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// How far it has come.
    pub at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Short> {
        let end = self.at.checked_add(length).ok_or(Short::More)?;
        let taken = self.bytes.get(self.at..end).ok_or(Short::More)?;
        self.at = end;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Short> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A sign and four bytes, the lowest first (`WriteInt`).
    pub fn int(&mut self) -> Result<i64, Short> {
        let bytes = self.take(INT_BYTES)?;
        let value = i64::from(u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]));
        match bytes[0] {
            0 => Ok(value),
            1 => Ok(-value),
            sign => Err(ArchiveError::Malformed(format!("a number has the sign {sign}")).into()),
        }
    }

    /// A length and so many bytes; a negative length is no string at all (`WriteStr`).
    pub fn text(&mut self) -> Result<Option<String>, Short> {
        let length = self.int()?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if length > FIELD_BYTES_MAX {
            return Err(ArchiveError::Malformed(format!("a field of {length} bytes")).into());
        }
        self.take(length).map(|bytes| Some(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// Bytes of an integer: its sign, and four.
pub(super) const INT_BYTES: usize = 5;

/// What an archive says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The format's minor version.
    pub minor: u8,
    /// [`FORMAT_CUSTOM`] or [`FORMAT_FOLDER`].
    pub format: u8,
    /// The database that was dumped.
    pub database: String,
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// The version of `pg_dump`.
    pub dump_version: String,
    /// Entries of the table of contents that follows.
    pub entries: usize,
}

/// One entry of the table of contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number, which its data block repeats.
    pub id: i64,
    /// Whether a data block must follow.
    pub has_data: bool,
    /// Its name, such as a table's.
    pub tag: String,
    /// Its kind, such as `TABLE DATA`.
    pub kind: String,
    /// The SQL that makes it.
    pub definition: String,
    /// Its schema.
    pub schema: String,
    /// The role that owns it.
    pub owner: String,
    /// The file of its data, in a folder's format.
    pub file: String,
}

/// Reads the head; `Short::More` while bytes are missing.
pub(super) fn head(fields: &mut Fields<'_>) -> Result<Head, Short> {
    if fields.take(5)? != b"PGDMP" {
        return Err(ArchiveError::Foreign.into());
    }
    let [major, minor, _revision, int_bytes, offset_bytes, format] =
        [fields.byte()?, fields.byte()?, fields.byte()?, fields.byte()?, fields.byte()?, fields.byte()?];
    if major != 1 || !(MINOR_MIN..=MINOR_MAX).contains(&minor) {
        return Err(ArchiveError::Unknown { minor }.into());
    }
    if (int_bytes, offset_bytes) != (4, 8) || !matches!(format, FORMAT_CUSTOM | FORMAT_FOLDER) {
        return Err(ArchiveError::Foreign.into());
    }
    // 1.15 wrote the compression's kind where 1.14 wrote its level.
    if minor >= 15 {
        fields.byte()?;
    } else {
        fields.int()?;
    }
    // When it was made: seven numbers, as struct tm has them.
    for _ in 0..7 {
        fields.int()?;
    }
    let [database, server_version, dump_version] = [fields.text()?, fields.text()?, fields.text()?];
    let entries = usize::try_from(fields.int()?)
        .map_err(|_| ArchiveError::Malformed("a negative number of entries".into()))?;
    Ok(Head {
        minor,
        format,
        database: database.unwrap_or_default(),
        server_version: server_version.unwrap_or_default(),
        dump_version: dump_version.unwrap_or_default(),
        entries,
    })
}

/// Reads one entry.
pub(super) fn entry(fields: &mut Fields<'_>, head: &Head) -> Result<Entry, Short> {
    let id = fields.int()?;
    let has_data = fields.int()? != 0;
    let _table_oid = fields.text()?;
    let _oid = fields.text()?;
    let tag = fields.text()?.unwrap_or_default();
    let kind = fields.text()?.unwrap_or_default();
    let _section = fields.int()?;
    let definition = fields.text()?.unwrap_or_default();
    let _drop = fields.text()?;
    let _copy = fields.text()?;
    let schema = fields.text()?.unwrap_or_default();
    let _tablespace = fields.text()?;
    let _access_method = fields.text()?;
    if head.minor >= 16 {
        let _relation_kind = fields.int()?;
    }
    let owner = fields.text()?.unwrap_or_default();
    let _with_oids = fields.text()?;
    while fields.text()?.is_some() {}
    let file = if head.format == FORMAT_FOLDER {
        fields.text()?.unwrap_or_default()
    } else {
        // Where its data lies: a flag, and an offset that a stream cannot fill in.
        fields.take(1 + 8)?;
        String::new()
    };
    Ok(Entry { id, has_data, tag, kind, definition, schema, owner, file })
}
