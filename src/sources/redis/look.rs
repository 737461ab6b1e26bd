//! A server looked at without changing it: is it there, does it let the job in, and may the job do what a backup does.
//!
//! Never here: a dump that is begun, or a right that is called given without having been asked for.

use super::address::Address;
use super::client::{Client, ClientError, Reply};
use super::doors;
use super::scratch_server::{PACKAGE, TOOLS};
use super::session::{self, Session};
use super::transfer;
use super::vitals::Vitals;
use crate::declared::{RedisDeclaration, SetName};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::secrets::SecretError;
use crate::sources::{tool_requirement, tool_search_path};

/// Looks.
pub(super) fn look(host: &dyn Host, set: &SetName, declaration: &RedisDeclaration) -> SourceFacts {
    let search_path = tool_search_path(declaration.tools.as_deref(), &[]);
    let tool = tool_requirement(host, &TOOLS, &search_path, PACKAGE);
    let session = match Session::of(host, declaration) {
        Ok(session) => session,
        Err(error) => return unasked(&Address::of(declaration), &error, tool),
    };
    let mut seen = Seen { requirements: vec![tool], session };
    let asked = seen.ask();
    let members = match &asked {
        Ok((info, _)) => {
            let size_bytes = info.number("used_memory_dataset").or(info.number("used_memory"));
            Observed::Present(vec![MemberFacts { name: set.to_string(), size_bytes }])
        }
        Err(diagnostic) => Observed::Unknown(diagnostic.clone()),
    };
    let mut facts = SourceFacts::new(members, seen.requirements);
    facts.addresses = vec![listed(&seen.session.address, None)];
    if let Ok((info, mut client)) = asked {
        facts.addresses = addresses(&seen.session, &info, &mut client);
        facts.doors = doors::open(host, &seen.session.address, client.peer(), &info);
    }
    facts
}

/// What can be said where there is no password to ask with.
fn unasked(address: &Address, error: &SecretError, tool: RequirementFacts) -> SourceFacts {
    let diagnostic = Diagnostic::from_error("server not asked", error).fix(error.remedy());
    let mut facts = SourceFacts::new(Observed::Unknown(diagnostic), vec![tool]);
    facts.addresses = vec![listed(address, None)];
    facts.deferred = error.only_in_a_run().then(|| error.to_string());
    facts
}

struct Seen {
    requirements: Vec<RequirementFacts>,
    session: Session,
}

impl Seen {
    fn note(&mut self, kind: &str, object: String, unmet: Option<Diagnostic>) {
        self.requirements.push(RequirementFacts { kind: kind.into(), object, unmet });
    }

    /// Notes why not, and gives it back.
    fn stop<T>(&mut self, kind: &str, object: String, unmet: Diagnostic) -> Result<T, Diagnostic> {
        self.note(kind, object, Some(unmet.clone()));
        Err(unmet)
    }

    fn trouble(&self, summary: &str, error: &ClientError) -> Diagnostic {
        Diagnostic::new(summary, self.session.server()).why(error.to_string())
    }

    /// Asks the server everything.
    fn ask(&mut self) -> Result<(Vitals, Client), Diagnostic> {
        let server = self.session.server();
        let mut client = match self.session.connect() {
            Ok(client) => client,
            Err(error) => {
                let fix = format!(
                    "start it, or correct its place in the plan file; `redis-cli {} PING` shows it",
                    self.session.address.arguments()
                );
                return self.stop("server", server, self.trouble("server not reached", &error).fix(fix));
            }
        };
        let login = format!("user {} at {server}", self.session.user());
        let entered = self.session.log_in(&mut client).and_then(|()| session::info(&mut client));
        let info = match entered {
            Ok(info) => info,
            Err(error) if error.denied() => {
                self.note("login", login, None);
                let fix = format!("`{}`", self.session.grant());
                let unmet = self.trouble("right missing: INFO", &error).fix(fix);
                return self.stop("grant", format!("INFO at {server}"), unmet);
            }
            Err(error) => {
                let unmet = self.trouble("login failed", &error).fix(self.login_remedy(&error));
                return self.stop("login", login, unmet);
            }
        };
        self.note("login", login, None);
        let unfit = info.unfit().map(|why| {
            Diagnostic::new("server has not its data", server.clone())
                .why(why)
                .fix("wait until it has, or mend its replication (`redis-cli INFO replication`)")
        });
        self.note("server", server.clone(), None);
        self.note("state", server, unfit);
        self.saves(&info);
        self.may_sync(&mut client);
        Ok((info, client))
    }

    fn login_remedy(&self, error: &ClientError) -> String {
        let (user, to) = (self.session.user(), self.session.address.arguments());
        match error {
            ClientError::Refused(answer) if answer.starts_with("NOAUTH") => {
                "the server wants a password: write `password: { file: PATH }` in the set".to_owned()
            }
            ClientError::Refused(answer) if answer.contains("without any password configured") => {
                format!(
                    "the server has no password for user `{user}`: set one with `redis-cli {to} CONFIG SET requirepass`, \
                     or take `password` out of the set"
                )
            }
            ClientError::Refused(_) => format!(
                "write the right password to the secret's file, or let the server take that one: `redis-cli {to} ACL \
                 SETUSER {user} on >PASSWORD`"
            ),
            ClientError::Connect(_)
            | ClientError::Broken(_)
            | ClientError::Closed
            | ClientError::Silent(_)
            | ClientError::Foreign
            | ClientError::ToldToEnd => format!("see whether it answers: `redis-cli {to} PING`"),
        }
    }

    /// A server that could not write its own last snapshot cannot make one for bkp either: it forks for both.
    fn saves(&mut self, info: &Vitals) {
        let failed = info.get("rdb_last_bgsave_status").filter(|status| *status != "ok").map(|status| {
            let to = self.session.address.arguments();
            Diagnostic::new("the server's own last snapshot failed", self.session.server())
                .why(format!("rdb_last_bgsave_status:{status}"))
                .fix(format!(
                    "its log says why (memory to fork: `sysctl vm.overcommit_memory=1`; a full disk); mend it, and \
                     `redis-cli {to} BGSAVE`"
                ))
        });
        self.note("state", format!("snapshots of {}", self.session.server()), failed);
    }

    fn may_sync(&mut self, client: &mut Client) {
        let server = self.session.server();
        for (command, asked) in
            [("REPLCONF", transfer::announce(client)), ("SYNC", sync_allowed(client, self.session.user()))]
        {
            let fix = format!("`{}`, and `ACL SAVE` or the ACL file so that it lasts", self.session.grant());
            let summary = format!("right missing: {command}");
            let unmet = asked.err().map(|error| self.trouble(&summary, &error).fix(fix));
            self.note("grant", format!("{command} at {server}"), unmet);
        }
    }
}

/// What a server says to SYNC when an answer to this client still waits to be sent: it is refused whatever the rights,
/// but only where there are any (`replication.c`, `syncCommand`; seen with 7.0).
const REFUSED_AS_PENDING: &str = "pending output";

/// Whether the user may SYNC. Servers since 7.0 say so without trying, to those who may ask; the others are sent a
/// SYNC that they have to refuse: the answer to a PING, in the same piece, still waits to be sent.
fn sync_allowed(client: &mut Client, user: &str) -> Result<(), ClientError> {
    match client.command(&["ACL", "DRYRUN", user, "SYNC"]) {
        Ok(Reply::Text(answer)) if answer == "OK" => return Ok(()),
        Ok(Reply::Text(answer)) => return Err(ClientError::Refused(format!("NOPERM {answer}"))),
        Ok(Reply::Nil | Reply::Many(_)) => return Err(ClientError::Foreign),
        Err(ClientError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    client.send(&[&[b"PING"], &[b"SYNC"]])?;
    let ping = client.reply();
    match client.reply() {
        Err(ClientError::Refused(answer)) if answer.contains(REFUSED_AS_PENDING) => ping.map(drop),
        Err(error) => Err(error),
        Ok(_) => Err(ClientError::Foreign),
    }
}

/// A place as discovery lists it.
fn listed(address: &Address, peer: Option<std::net::IpAddr>) -> String {
    match (address, peer) {
        (Address::Socket(path), _) => format!("unix:{}", path.display()),
        (Address::Tcp(_, port), Some(ip)) => format!("tcp:{ip}:{port}"),
        (Address::Tcp(host, port), None) => format!("tcp:{host}:{port}"),
    }
}

/// Where else this server is reached, as far as it says.
fn addresses(session: &Session, info: &Vitals, client: &mut Client) -> Vec<String> {
    let mut all = vec![listed(&session.address, client.peer())];
    if doors::is_here(&session.address, client.peer()) {
        all.extend(
            info.number("tcp_port").filter(|port| *port != 0).map(|port| format!("tcp:127.0.0.1:{port}")),
        );
        // A right that a backup does not need; without it this address stays unsaid.
        if let Ok(Reply::Many(pair)) = client.command(&["CONFIG", "GET", "unixsocket"]) {
            let path = pair.into_iter().nth(1).map(Reply::text).filter(|path| path.starts_with('/'));
            all.extend(path.map(|path| format!("unix:{path}")));
        }
    }
    all.sort();
    all.dedup();
    all
}
