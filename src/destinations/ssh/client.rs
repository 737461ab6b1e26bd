//! How `ssh` is started, and what its words mean.
//!
//! Everything is in a configuration file of our own, in memory as the key is: `ssh` and the `rsync` that starts one get the
//! same. Where the plan names no key, the user's own configuration is read after ours, which has the last word
//! (`ssh_config(5)`: the first value obtained is used).

use crate::declared::RemoteDeclaration;
use crate::destinations::Secrets;
use crate::destinations::marker::random;
use crate::destinations::remote::store::Fault;
use crate::host::{PrivateFile, pause, told_to_end};
use crate::secrets::Secret;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Rest before the first further try; each next is twice as long.
const REST_FIRST: Duration = Duration::from_millis(500);
/// Longest rest between two tries.
const REST_MAX: Duration = Duration::from_secs(30);

/// What is the same for every destination.
const ALWAYS: &str = "\
IgnoreUnknown ForkAfterAuthentication,StdinNull,KnownHostsCommand
BatchMode yes
LogLevel ERROR
StrictHostKeyChecking yes
UpdateHostKeys no
VerifyHostKeyDNS no
VisualHostKey no
ConnectionAttempts 1
TCPKeepAlive yes
ClearAllForwardings yes
ForwardAgent no
ForwardX11 no
Tunnel no
PermitLocalCommand no
RemoteCommand none
RequestTTY no
EscapeChar none
ControlMaster no
ControlPath none
ForkAfterAuthentication no
StdinNull no
Compression no
";

/// What `ssh` says of a host key that is another, or that nobody knows (sshconnect.c).
const STRANGER: [&str; 3] =
    ["Host key verification failed", "host key is known for", "has changed and you have"];
/// What `ssh` says of us (sshconnect2.c).
const REFUSED: [&str; 3] =
    ["Permission denied (", "Too many authentication failures", "No supported authentication methods"];
/// What passes: the network's words, and a server's that is overrun.
const PASSING: [&str; 15] = [
    "Connection refused",
    "Connection timed out",
    "timed out",
    "Connection reset",
    "Connection closed",
    "closed by remote host",
    "No route to host",
    "Network is unreachable",
    "Host is down",
    "Broken pipe",
    "not responding",
    "Temporary failure in name resolution",
    "kex_exchange_identification",
    "Timeout, server",
    "Connection to UNKNOWN",
];

/// A try that failed, and whether another may do better.
#[derive(Debug)]
pub(super) enum Setback {
    /// It may pass.
    Passing(Fault),
    /// It will not.
    Lasting(Fault),
}

impl Setback {
    pub fn fault(self) -> Fault {
        match self {
            Self::Passing(fault) | Self::Lasting(fault) => fault,
        }
    }
}

/// A declared way to a host.
#[derive(Debug)]
pub(super) struct Client {
    host: String,
    /// Host, user and port, for people.
    place: String,
    timeout: Duration,
    retries: u32,
    config: PrivateFile,
    /// Named in the configuration; gone with this value.
    _files: Vec<PrivateFile>,
}

impl Client {
    /// Errors are texts for people.
    pub fn new(remote: &RemoteDeclaration, secrets: &Secrets) -> Result<Self, String> {
        let host = remote.setting("host").trim_matches(['[', ']']).to_owned();
        let (user, port) = (remote.setting("user"), remote.setting("port"));
        let host_has = |it: char| it.is_alphanumeric() || ".-_:%".contains(it);
        if host.is_empty() || host.starts_with('-') || !host.chars().all(host_has) {
            return Err(format!("host: `{host}` is no name of a host"));
        }
        let odd = |it: char| it.is_control() || it.is_whitespace() || "\"'\\%".contains(it);
        if user.starts_with('-') || user.chars().any(odd) {
            return Err(format!("user: `{user}` is no name of a user"));
        }
        let mut place = if user.is_empty() { String::new() } else { format!("{user}@") };
        place.push_str(&bracketed(&host));
        if !port.is_empty() {
            place = format!("{place}:{port}");
        }
        let held = |key: &'static str| secrets.get(key).map(|secret| file(key, secret)).transpose();
        let (key, known_hosts) = (held("key")?, held("known_hosts")?);
        let timeout_seconds = remote.transport.timeout().seconds();
        let text = config(
            user,
            port,
            timeout_seconds,
            key.as_ref().map(PrivateFile::path),
            known_hosts.as_ref().map(PrivateFile::path),
        );
        let config = PrivateFile::new("ssh-config", text.as_bytes())
            .map_err(|it| format!("ssh's configuration: {it}"))?;
        Ok(Self {
            host,
            place,
            timeout: Duration::from_secs(timeout_seconds),
            retries: remote.transport.retries(),
            config,
            _files: key.into_iter().chain(known_hosts).collect(),
        })
    }

    /// Host, user and port, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The host as rsync wants it before its colon.
    pub fn rsync_host(&self) -> String {
        bracketed(&self.host)
    }

    /// Longest that an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How often what failed for a passing reason is tried again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// The argv that opens a subsystem of the host.
    pub fn subsystem(&self, name: &str) -> Vec<String> {
        let config = self.config.path().display().to_string();
        ["ssh", "-F", &config, "-s", "--", &self.host, name].map(ToOwned::to_owned).to_vec()
    }

    /// The command for rsync's `-e`, which splits it at spaces outside quotes (rsync(1)).
    pub fn shell(&self) -> String {
        let path = self.config.path().display().to_string();
        if path.contains(' ') { format!("ssh -F '{path}'") } else { format!("ssh -F {path}") }
    }

    /// Tries, and after a passing failure again, with growing rests.
    pub fn persist<T>(&self, mut once: impl FnMut(u32) -> Result<T, Setback>) -> Result<T, Fault> {
        let mut tried = 0;
        loop {
            match once(tried) {
                Ok(value) => return Ok(value),
                Err(Setback::Passing(_)) if tried < self.retries && !told_to_end() => {
                    pause(rest(tried));
                    tried += 1;
                }
                Err(setback) => return Err(setback.fault()),
            }
        }
    }
}

/// The rest after so many further tries, between half of it and one and a half: many hosts begin at the same instant.
pub(super) fn rest(tried: u32) -> Duration {
    let whole = REST_FIRST.saturating_mul(1 << tried.min(10)).min(REST_MAX);
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(millis / 2 + random() % millis)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A secret as a file. A key without a line break at its end, or with those of Windows, is one that ssh does not read.
fn file(key: &str, secret: &Secret) -> Result<PrivateFile, String> {
    let mut bytes: Vec<u8> = secret.bytes().to_vec();
    bytes.retain(|byte| *byte != b'\r');
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    PrivateFile::new(key, &bytes).map_err(|error| format!("{key}: {error}"))
}

fn config(
    user: &str,
    port: &str,
    timeout_seconds: u64,
    key: Option<&Path>,
    known_hosts: Option<&Path>,
) -> String {
    let mut text = ALWAYS.to_owned();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    // Two signs of life that stay away, and the third's time is over.
    line(&format!("ConnectTimeout {timeout_seconds}"));
    line(&format!("ServerAliveInterval {}", (timeout_seconds / 3).max(1)));
    line("ServerAliveCountMax 2");
    if !user.is_empty() {
        line(&format!("User \"{user}\""));
    }
    if !port.is_empty() {
        line(&format!("Port {port}"));
    }
    if let Some(path) = known_hosts {
        line(&format!("UserKnownHostsFile \"{}\"", path.display()));
        line("GlobalKnownHostsFile /dev/null");
        line("KnownHostsCommand none");
    }
    match key {
        Some(path) => {
            line(&format!("IdentityFile \"{}\"", path.display()));
            line("IdentitiesOnly yes");
            line("IdentityAgent none");
            line("PreferredAuthentications publickey");
        }
        None => line("Include ~/.ssh/config /etc/ssh/ssh_config"),
    }
    text
}

/// What `ssh`'s standard error means, and the line of it that says so; none where nothing of it is `ssh`'s.
pub(super) fn heard(during: &'static str, stderr: &str) -> Option<Setback> {
    let find = |words: &[&str]| {
        stderr
            .lines()
            .find(|line| words.iter().any(|word| line.contains(word)))
            .map(|it| it.trim().to_owned())
    };
    if find(&STRANGER).is_some() {
        // The line that says which of the two it is.
        let why = find(&["host key is known for", "has changed and you have"]);
        let why = why.unwrap_or_else(|| "Host key verification failed.".to_owned());
        return Some(Setback::Lasting(Fault::Stranger(io::Error::other(why))));
    }
    if let Some(line) = find(&REFUSED) {
        let line = match find(&["Load key", "UNPROTECTED PRIVATE KEY", "invalid format"]) {
            Some(why) => format!("{line} ({why})"),
            None => line,
        };
        return Some(Setback::Lasting(Fault::Refused(io::Error::other(line))));
    }
    find(&PASSING).map(|line| Setback::Passing(Fault::other(during, line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ssh_are_told_apart() {
        let heard = |text: &str| heard("connecting", text);
        let changed = "@@@ WARNING\nHost key for [h]:2 has changed and you have requested strict checking.\nHost key \
                       verification failed.\n";
        let Some(Setback::Lasting(Fault::Stranger(error))) = heard(changed) else { panic!("a stranger") };
        assert_eq!(
            error.to_string(),
            "Host key for [h]:2 has changed and you have requested strict checking."
        );
        let unknown = "No ED25519 host key is known for h and you have requested strict checking.\nHost key \
                       verification failed.";
        assert!(matches!(heard(unknown), Some(Setback::Lasting(Fault::Stranger(_)))));
        let refused = "Load key \"/proc/1/fd/3\": error in libcrypto\nu@h: Permission denied (publickey).";
        let Some(Setback::Lasting(Fault::Refused(error))) = heard(refused) else { panic!("a refusal") };
        assert!(error.to_string().contains("libcrypto"), "{error}");
        let down = "ssh: connect to host h port 22: Connection refused";
        assert!(matches!(heard(down), Some(Setback::Passing(Fault::Other { .. }))));
        assert!(heard("subsystem request failed on channel 0").is_none());
    }

    #[test]
    fn rests_grow_and_differ() {
        assert!(rest(0) >= REST_FIRST / 2 && rest(0) <= REST_FIRST * 3 / 2);
        assert!(rest(20) >= REST_MAX / 2 && rest(20) <= REST_MAX * 3 / 2);
        let rests: std::collections::BTreeSet<Duration> = (0..50).map(|_| rest(4)).collect();
        assert!(rests.len() > 10, "{rests:?}");
    }

    #[test]
    fn users_configuration_is_read_only_where_the_plan_names_no_key() {
        let own = config("u", "22", 60, None, None);
        assert!(own.ends_with("Include ~/.ssh/config /etc/ssh/ssh_config\n"), "{own}");
        let ours = config("u", "22", 60, Some(Path::new("/proc/1/fd/3")), Some(Path::new("/proc/1/fd/4")));
        assert!(!ours.contains("Include"), "{ours}");
        assert!(ours.contains("GlobalKnownHostsFile /dev/null\n"), "{ours}");
    }
}
