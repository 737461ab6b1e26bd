//! A dump and counts of one and the same moment.
//!
//! A session cannot take over another's snapshot. So a lock that lets no commit through is held while the dump's
//! transaction begins and ours does; what we count afterwards is what the dump holds. Where there is no such lock, our
//! transactions begin before and after the dump's, and the two counts bound what it holds.
//!
//! Never here: a lock that outlives its time. It is held by a session that the server itself ends after that many idle
//! seconds, whatever becomes of this process; that it was held to the end is known because the session still answers.

use super::catalogue::{Catalogue, Table, count_rows};
use super::client::{Ask, Client};
use super::scan::Scan;
use super::session::Session;
use super::words::{code, identifier};
use crate::host::ChildReader;
use crate::sources::SourceError;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Bytes within which the header of a dump ends; both programs write about 1 KiB.
const HEADER_MAX_BYTES: usize = 64 << 10;
/// Beginning of a snapshot.
const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// Rows of each table in one snapshot, or in two.
type Rows = BTreeMap<String, u64>;

/// A dump that has begun, and what it is compared with.
pub(super) struct Held {
    pub dump: ChildReader,
    pub first: Vec<u8>,
    pub catalogue: Catalogue,
    pub counting: Counting,
    /// Rows of tables that no snapshot holds still, before the dump.
    pub loose: Rows,
    /// Why the counts are bounds, where they are.
    pub unlocked: Option<String>,
    /// Whether the history of system-versioned tables is in the dump.
    pub history: bool,
}

/// Rows counted while the dump streams.
pub(super) struct Counting {
    give_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Counted, SourceError>>>,
}

/// What was counted in the snapshot before the dump's and, without a lock, in the one after it.
pub(super) struct Counted {
    pub before: Rows,
    pub after: Option<Rows>,
    /// Goes on to count what no snapshot holds still.
    pub session: Session,
}

impl Counting {
    fn start(
        schema: String,
        tables: Vec<Table>,
        history: bool,
        mut sessions: (Session, Option<Session>),
    ) -> Self {
        let give_up = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&give_up);
        let thread = std::thread::spawn(move || {
            let count = |session: &mut Session| {
                let mut rows = Rows::new();
                for table in &tables {
                    if told.load(Ordering::Relaxed) {
                        break;
                    }
                    rows.extend(count_gently(session, &schema, std::slice::from_ref(table), history)?);
                }
                session.rows("COMMIT")?;
                Ok::<_, SourceError>(rows)
            };
            let before = count(&mut sessions.0)?;
            let after = sessions.1.as_mut().map(count).transpose()?;
            Ok(Counted { before, after, session: sessions.0 })
        });
        Self { give_up, thread: Some(thread) }
    }

    /// Waits for the counts.
    pub fn finish(mut self) -> Result<Counted, SourceError> {
        let lost = || SourceError::Server { server: "counting".into(), reason: "it came to no end".into() };
        self.thread.take().ok_or_else(lost)?.join().map_err(|_panicked| lost())?
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.give_up.store(true, Ordering::Relaxed);
    }
}

/// Begins to dump a schema, its counts with it. The lock is waited for, and held, at most `seconds` each.
pub(super) fn begin(client: &Client, schema: &str, seconds: u64) -> Result<Held, SourceError> {
    let mut counter = client.session()?;
    counter.rows("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
    let lock = lock(client, &mut counter, schema, seconds.max(1))?;
    let tables_locked = lock.as_ref().map(|lock| lock.tables.clone()).unwrap_or_default();
    counter.rows(SNAPSHOT)?;
    let catalogue = Catalogue::read(&mut counter, schema)?;
    let server = super::facts::server_version(&mut counter)?;
    let history = catalogue.has_history() && client.version().keeps_history() && server.keeps_history();
    let (still, loose): (Vec<Table>, Vec<Table>) =
        catalogue.tables.iter().filter(|it| it.has_rows()).cloned().partition(Table::in_snapshot);
    let loose = count_gently(&mut counter, schema, &loose, history)?;
    let (dump, first) = started(client, schema, history)?;
    let mut unlocked =
        match lock {
            Err(why) => Some(why),
            Ok(mut lock) => lock.session.rows("UNLOCK TABLES").err().map(|error| {
                format!("the lock did not last for {seconds} s, until the dump had begun: {error}")
            }),
        };
    if let Some(locked) = &tables_locked
        && still.iter().any(|table| !locked.contains(&table.name))
    {
        unlocked = Some("a table was made while the lock was taken".to_owned());
    }
    let second = if unlocked.is_some() {
        let mut second = client.session()?;
        second.rows("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        second.rows(SNAPSHOT)?;
        Some(second)
    } else {
        None
    };
    let counting = Counting::start(schema.to_owned(), still, history, (counter, second));
    Ok(Held { dump, first, catalogue, counting, loose, unlocked, history })
}

/// Counts inside of a transaction. Going back to a savepoint lets go of the tables, so that nobody's ALTER waits for the
/// whole dump.
fn count_gently(
    session: &mut Session,
    schema: &str,
    tables: &[Table],
    history: bool,
) -> Result<Rows, SourceError> {
    session.rows("SAVEPOINT bkp")?;
    let rows = count_rows(session, schema, tables.iter(), history)?;
    session.rows("ROLLBACK TO SAVEPOINT bkp")?;
    Ok(rows)
}

/// A lock that lets nobody commit.
struct Lock {
    session: Session,
    /// The tables that it is on; none when it is on everything.
    tables: Option<Vec<String>>,
}

/// Takes the lock; why there is none, where it may not be had, or not in time.
fn lock(
    client: &Client,
    counter: &mut Session,
    schema: &str,
    seconds: u64,
) -> Result<Result<Lock, String>, SourceError> {
    let patient = || {
        let mut session = client.session()?;
        session.rows(&format!("SET SESSION lock_wait_timeout={seconds}, SESSION wait_timeout={seconds}"))?;
        Ok::<_, SourceError>(session)
    };
    let mut session = patient()?;
    let refused = match session.rows("FLUSH TABLES WITH READ LOCK") {
        Ok(_) => return Ok(Ok(Lock { session, tables: None })),
        Err(error) => refusal(error)?,
    };
    let mut session = patient()?;
    let tables: Vec<String> = Catalogue::read(counter, schema)?
        .tables
        .into_iter()
        .filter(Table::is_table)
        .map(|table| table.name)
        .collect();
    if tables.is_empty() {
        return Ok(Ok(Lock { session, tables: Some(tables) }));
    }
    let list: Vec<String> =
        tables.iter().map(|it| format!("{}.{} READ", identifier(schema), identifier(it))).collect();
    match session.rows(&format!("LOCK TABLES {}", list.join(", "))) {
        Ok(_) => Ok(Ok(Lock { session, tables: Some(tables) })),
        Err(error) => {
            let then = refusal(error)?;
            Ok(Err(format!("no lock was to be had: {refused}; {then}")))
        }
    }
}

/// What the server said, when it refused a lock or did not give it in time; any other error stays one.
fn refusal(error: SourceError) -> Result<String, SourceError> {
    let text = error.to_string();
    let number = text.split_once("ERROR ").and_then(|(_, rest)| code(&format!("ERROR {rest}")));
    // Access denied (to a schema, a table, a statement), and lock wait timeout.
    if matches!(number, Some(1044 | 1142 | 1205 | 1227)) { Ok(text) } else { Err(error) }
}

/// Starts the dump and reads until its transaction has begun.
fn started(client: &Client, schema: &str, history: bool) -> Result<(ChildReader, Vec<u8>), SourceError> {
    let mut dump =
        ChildReader::start(&client.dumping(schema, history)).map_err(|error| client.not_started(error))?;
    let mut scan = Scan::default();
    let mut first = Vec::new();
    let mut buffer = vec![0; HEADER_MAX_BYTES];
    while !scan.past_header() && first.len() < HEADER_MAX_BYTES {
        match dump.read(&mut buffer) {
            // A dump that has ended already has had its transaction, or has failed, which its end will say.
            Ok(0) => break,
            Ok(count) => {
                scan.feed(&buffer[..count]);
                first.extend_from_slice(&buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SourceError::Read { object: schema.to_owned(), error }),
        }
    }
    Ok((dump, first))
}
